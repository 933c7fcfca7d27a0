"""What a container's process is like: scheduling, limits, ids, privileges, links. Each test names its section of the spec."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aethel_common.errors import AethelError, AlreadyExists, InvalidArgument, NotFound, NotPermitted, Unsupported
from aethel_common.linux import capabilities, namespaces, procfs
from aethel_common.linux.namespaces import CloneFlags
from aethel_common.linux.netlink import Rtnetlink
from aethel_run.init.steps import identity
from aethel_run.lifecycle.create import CreateOptions, create
from aethel_run.lifecycle.rootfs import open_directory
from aethel_run.process import affinity, attributes, limits, preconditions, timens
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import IdMapping, Namespace, NamespaceType, NetDevice, TimeOffset
from aethel_run.spec.load import decode, encode
from aethel_run.spec.process import Capabilities, CpuAffinity, Process, Rlimit, User
from aethel_run.spec.scheduling import IoPriority, IoPriorityClass, Scheduler, SchedulerFlag, SchedulerPolicy
from aethel_run.spec.template import default_spec

FULL_MAP = (IdMapping(container_id=0, host_id=100000, size=65536),)
Run = Callable[..., str]


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rootfs")
    root.chmod(0o755)
    for name in ("bin", "proc", "dev", "sys", "tmp"):
        (root / name).mkdir()
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "cat", "grep", "id", "ionice", "uname", "ip", "chrt", "nice", "touch", "stat", "true"):
        (root / "bin" / name).symlink_to("busybox")
    return root


@pytest.fixture
def run(rootfs: Path) -> Run:
    """Run a shell script in a container; its output. `process` and `linux` are what the document says beyond a plain one."""

    def runs(script: str, *, userns: bool = False, linux: dict[str, Any] | None = None, **process: Any) -> str:
        return _output(_spec(script, userns=userns, linux=linux or {}, process=process), rootfs)

    return runs


def _spec(script: str, *, userns: bool, linux: dict[str, Any], process: dict[str, Any]) -> Spec:
    spec = default_spec()
    assert spec.process is not None
    spec = msgspec.structs.replace(
        spec,
        process=msgspec.structs.replace(spec.process, **{"terminal": False, "args": ("sh", "-c", script), **process}),
        linux=msgspec.structs.replace(spec.linux, **linux),
    )
    if userns:
        kinds = (*spec.linux.namespaces, Namespace(type=NamespaceType.USER))
        mapped = msgspec.structs.replace(spec.linux, namespaces=kinds, uid_mappings=FULL_MAP, gid_mappings=FULL_MAP)
        spec = msgspec.structs.replace(spec, linux=mapped)
    return decode(encode(spec))


def _output(spec: Spec, rootfs: Path) -> str:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    with open(reading, encoding="utf-8") as output:
        try:
            options = CreateOptions(open_rootfs=open_directory(str(rootfs)), stdio=(null, writing, writing))
            created = create(spec, options)
        finally:
            os.close(null)
            os.close(writing)
        try:
            created.start()
            text = output.read()
        finally:
            created.abandon()
    return text.strip()


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# config.md#linux-process: scheduler


@pytest.mark.parametrize("userns", [False, True])
@pytest.mark.parametrize(
    ("scheduler", "policy", "priority"),
    [
        (Scheduler(policy=SchedulerPolicy.FIFO, priority=7), "1", "92"),
        (Scheduler(policy=SchedulerPolicy.RR, priority=1), "2", "98"),
        (Scheduler(policy=SchedulerPolicy.BATCH, nice=5), "3", "125"),
        (Scheduler(policy=SchedulerPolicy.IDLE), "5", "120"),
        (Scheduler(policy=SchedulerPolicy.OTHER, nice=-9), "0", "111"),
        (
            Scheduler(policy=SchedulerPolicy.DEADLINE, runtime=5_000_000, deadline=10_000_000, period=20_000_000),
            "6",
            "-1",
        ),
    ],
)
def test_each_policy_is_that_of_the_process(
    run: Run, scheduler: Scheduler, policy: str, priority: str, userns: bool
) -> None:
    """config.md#linux-process (scheduler): also in a user namespace, where init itself could not rise."""
    # The shell ends with its last command in its own place: a deadline task may not fork.
    script = "exec grep -E '^(policy|prio) ' /proc/self/sched"
    answer = run(script, userns=userns, scheduler=scheduler)
    assert [line.split(":")[1].strip() for line in answer.splitlines()] == [policy, priority]


def test_reset_on_fork_gives_children_the_ordinary_policy(run: Run) -> None:
    """config.md#linux-process (scheduler.flags)"""
    scheduler = Scheduler(policy=SchedulerPolicy.FIFO, priority=7, flags=(SchedulerFlag.RESET_ON_FORK,))
    answer = run("grep '^policy' /proc/$$/sched; grep '^policy' /proc/self/sched; true", scheduler=scheduler)
    assert [line.split(":")[1].strip() for line in answer.splitlines()] == ["1", "0"]


@pytest.mark.parametrize(
    "scheduler",
    [
        Scheduler(policy=SchedulerPolicy.ISO),
        Scheduler(policy=SchedulerPolicy.FIFO, priority=100),
        Scheduler(policy=SchedulerPolicy.DEADLINE, runtime=2, deadline=1),
    ],
)
def test_what_the_kernel_does_not_schedule_is_an_error_that_names_the_field(run: Run, scheduler: Scheduler) -> None:
    """config.md#linux-process (scheduler)"""
    before = _open_descriptors()
    with pytest.raises(AethelError, match=rf"process\.scheduler: {scheduler.policy}: sched_setattr\(2\)"):
        run("true", scheduler=scheduler)
    assert _open_descriptors() == before


# config.md#linux-process: ioPriority


@pytest.mark.parametrize("userns", [False, True])
@pytest.mark.parametrize(
    ("io_priority", "words"),
    [
        (IoPriority(class_=IoPriorityClass.RT, priority=3), "realtime: prio 3"),
        (IoPriority(class_=IoPriorityClass.BE, priority=7), "best-effort: prio 7"),
        (IoPriority(class_=IoPriorityClass.IDLE, priority=4), "idle"),
    ],
)
def test_the_io_priority_holds_for_all_that_it_starts(
    run: Run, io_priority: IoPriority, words: str, userns: bool
) -> None:
    """config.md#linux-process (ioPriority)"""
    answers = run("ionice -p $$; ionice -p 1; ionice", userns=userns, io_priority=io_priority).splitlines()
    assert [answer.startswith(words) for answer in answers] == [True] * 3, answers


# config-linux.md#personality


@pytest.mark.parametrize(("domain", "machine"), [("LINUX32", "i[3-6]86|armv[78]l"), ("LINUX", os.uname().machine)])
def test_the_personality_is_what_uname_tells(rootfs: Path, domain: str, machine: str) -> None:
    """config-linux.md#personality"""
    document = msgspec.json.decode(encode(_spec("uname -m", userns=False, linux={}, process={})))
    document["linux"]["personality"] = {"domain": domain}
    assert re.fullmatch(machine, _output(decode(msgspec.json.encode(document)), rootfs))


# config-linux.md#memory-policy


@pytest.mark.skipif(not Path("/proc/self/numa_maps").exists(), reason="this kernel has no NUMA")
@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "interleave=static:0"),
        ({"mode": "MPOL_PREFERRED"}, "local"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
)
def test_memory_comes_from_the_nodes_that_are_named(rootfs: Path, policy: dict[str, Any], words: str) -> None:
    """config-linux.md#memory-policy"""
    document = msgspec.json.decode(encode(_spec("cat /proc/self/numa_maps", userns=True, linux={}, process={})))
    document["linux"]["memoryPolicy"] = policy
    # What the loader mapped may be older than the policy of the process; its stack never is.
    lines = _output(decode(msgspec.json.encode(document)), rootfs).splitlines()
    assert {line.split()[1] for line in lines if "[heap]" in line or " heap" in line or " stack" in line} == {words}


def test_a_node_that_is_not_there_is_an_error(rootfs: Path) -> None:
    """config-linux.md#memory-policy"""
    document = msgspec.json.decode(encode(_spec("true", userns=False, linux={}, process={})))
    document["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "1023"}
    with pytest.raises(AethelError, match=r"^set_memory_policy: set_mempolicy\(2\)"):
        _output(decode(msgspec.json.encode(document)), rootfs)


# config.md#posix-process: rlimits


@pytest.mark.parametrize("userns", [False, True])
def test_resource_limits_are_as_said(run: Run, userns: bool) -> None:
    """config.md#posix-process (rlimits): both values match, up to the last of 64 bits."""
    rlimits = (
        Rlimit(type="RLIMIT_NOFILE", soft=64, hard=128),
        Rlimit(type="RLIMIT_CORE", soft=0, hard=2**64 - 1),
        Rlimit(type="RLIMIT_LOCKS", soft=3, hard=2**63 + 5),
        Rlimit(type="RLIMIT_AS", soft=2**63, hard=2**64 - 1),
    )
    table = run("cat /proc/self/limits", userns=userns, rlimits=rlimits)
    rows = {re.split(r" {2,}", line)[0]: re.split(r" {2,}", line)[1:3] for line in table.splitlines()}
    assert rows["Max open files"] == ["64", "128"]
    assert rows["Max core file size"] == ["0", "unlimited"]
    assert rows["Max file locks"] == ["3", str(2**63 + 5)]
    assert rows["Max address space"] == [str(2**63), "unlimited"]


def test_a_limit_that_cannot_be_raised_is_named(run: Run) -> None:
    """config.md#posix-process (rlimits)"""
    before = _open_descriptors()
    with pytest.raises(NotPermitted, match=r"process\.rlimits: RLIMIT_NOFILE: 4294967296 is above the hard limit"):
        run("true", rlimits=(Rlimit(type="RLIMIT_NOFILE", soft=1, hard=2**32),))
    assert _open_descriptors() == before


# config.md#linux-process: oomScoreAdj


@pytest.mark.parametrize("userns", [False, True])
def test_the_oom_score_is_set_when_it_is_named_and_only_then(run: Run, userns: bool) -> None:
    """config.md#linux-process (oomScoreAdj)"""
    own = Path("/proc/self/oom_score_adj").read_text().strip()
    assert run("cat /proc/self/oom_score_adj", userns=userns) == own
    assert run("cat /proc/self/oom_score_adj", userns=userns, oom_score_adj=321) == "321"


@pytest.mark.skipif(
    bool(capabilities.capget().effective >> capabilities.Capability.CAP_SYS_RESOURCE & 1),
    reason="this root may lower it",
)
def test_an_oom_score_that_cannot_be_lowered_is_an_error(run: Run) -> None:
    """config.md#linux-process (oomScoreAdj): it MUST be the given value."""
    with pytest.raises(NotPermitted, match=r"process\.oomScoreAdj: -1000 is less"):
        run("true", oom_score_adj=-1000)


# config.md#posix-platform-user


@pytest.mark.parametrize("userns", [False, True])
def test_ids_groups_and_umask_are_as_said(run: Run, userns: bool) -> None:
    """config.md#posix-platform-user"""
    user = User(uid=1000, gid=1001, additional_gids=(5, 6, 5), umask=0o27)
    answer = run(
        "id -u; id -g; grep Groups: /proc/self/status; umask", userns=userns, user=user, capabilities=Capabilities()
    )
    uid, gid, groups, umask = answer.splitlines()
    assert (uid, gid, umask) == ("1000", "1001", "0027")
    assert sorted(groups.split()[1:], key=int) == ["5", "6", "1001"]


def test_cve_2022_36109_no_group_of_the_caller_is_left(run: Run) -> None:
    """config.md#posix-platform-user: a file that is denied to the user's group stays denied."""
    before = os.getgroups()
    os.setgroups([*before, 4242])
    try:
        answer = run("grep Groups: /proc/self/status", user=User(uid=1000, gid=1001))
    finally:
        os.setgroups(before)
    assert answer.split()[1:] == ["1001"]


def test_cve_2024_40635_an_id_that_is_none_does_not_become_root(run: Run) -> None:
    """config.md#posix-platform-user"""
    with pytest.raises(InvalidArgument, match=r"process\.user\.uid: 4294967295 is not an id"):
        run("id -u", user=User(uid=2**32 - 1))
    assert run("id -u", user=User(uid=2**32 - 2)) == str(2**32 - 2)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (User(uid=70000), r"process\.user\.uid: 70000"),
        (User(gid=70000), r"process\.user\.gid and additionalGids: 70000"),
        (User(additional_gids=(70000,)), r"process\.user\.gid and additionalGids: 0, 70000"),
    ],
)
def test_an_id_that_is_not_mapped_is_named(run: Run, user: User, words: str) -> None:
    """config.md#posix-platform-user: a user namespace has no such id; known when the program is to start."""
    with pytest.raises(AethelError, match=words + ": not mapped"):
        run("true", userns=True, user=user)


def test_groups_are_left_alone_where_setting_them_is_denied() -> None:
    """config.md#posix-platform-user: without privileges outside, man 7 user_namespaces."""

    def child() -> object:
        namespaces.unshare(CloneFlags.NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text("0 0 1")
        before = os.getgroups()
        identity.set_groups((0, 5), userns=True)
        try:
            identity.set_groups((0, 5), userns=False)
        except PermissionError:
            return before == os.getgroups()
        return "set all the same"

    assert _in_child(child) == "True"


# config.md#linux-process: capabilities


def _sets(status: str) -> dict[str, int]:
    return {line.split(":")[0]: int(line.split(":")[1], 16) for line in status.splitlines()}


@pytest.mark.parametrize("userns", [False, True])
def test_the_five_sets_of_root(run: Run, userns: bool) -> None:
    """config.md#linux-process (capabilities); CVE-2022-24769: inheritable stays empty."""
    sets = _sets(run("grep ^Cap /proc/self/status", userns=userns))
    default = default_spec().process
    assert default is not None
    assert default.capabilities is not None
    wanted = capabilities.mask(capabilities.Capability[name] for name in default.capabilities.bounding)
    assert sets == {"CapInh": 0, "CapPrm": wanted, "CapEff": wanted, "CapBnd": wanted, "CapAmb": 0}


def test_ambient_capabilities_are_what_a_user_keeps(run: Run) -> None:
    """config.md#linux-process (capabilities.ambient): only what is permitted and inheritable too."""
    names = ("CAP_NET_RAW", "CAP_KILL")
    asked = Capabilities(bounding=names, permitted=names, effective=names, inheritable=("CAP_NET_RAW",), ambient=names)
    sets = _sets(run("grep ^Cap /proc/self/status", user=User(uid=1000, gid=1000), capabilities=asked))
    net_raw, kill = 1 << 13, 1 << 5
    assert sets == {
        "CapInh": net_raw, "CapPrm": net_raw, "CapEff": net_raw, "CapBnd": net_raw | kill, "CapAmb": net_raw
    }  # fmt: skip


def test_what_this_runtime_has_not_it_does_not_give_and_does_not_fail(run: Run) -> None:
    """config.md#linux-process (capabilities): runtimes SHOULD NOT fail, and MUST warn."""
    every = tuple(capabilities.Capability.__members__)
    everything = Capabilities(bounding=every, permitted=every, effective=every)
    own = capabilities.capget().permitted & capabilities.bounding()
    sets = _sets(run("grep ^Cap /proc/self/status", capabilities=everything))
    assert sets == {"CapInh": 0, "CapPrm": own, "CapEff": own, "CapBnd": own, "CapAmb": 0}
    missing = [each.name for each in capabilities.supported() if not own >> each & 1]
    told = preconditions.warnings(_spec("true", userns=False, linux={}, process={"capabilities": everything}))
    assert [line for line in told if ".permitted:" in line] == [
        f"process.capabilities.permitted: {name} cannot be given here" for name in missing
    ]


def test_a_user_namespace_has_every_capability(run: Run) -> None:
    """config.md#linux-process (capabilities)"""
    every = tuple(capabilities.Capability.__members__)
    everything = Capabilities(bounding=every, permitted=every, effective=every)
    sets = _sets(run("grep ^Cap /proc/self/status", userns=True, capabilities=everything))
    assert sets["CapEff"] == sets["CapBnd"] == capabilities.mask(capabilities.supported())
    spec = _spec("true", userns=True, linux={}, process={"capabilities": everything})
    assert preconditions.warnings(spec) == []


def test_a_bounding_set_with_room_for_what_is_not_permitted(run: Run) -> None:
    """config.md#linux-process (capabilities): an effective capability that is not permitted is not given."""
    asked = Capabilities(bounding=("CAP_KILL",), permitted=(), effective=("CAP_KILL",))
    answer = run("grep ^CapBnd /proc/self/status", user=User(uid=9, gid=9), capabilities=asked)
    assert _sets(answer) == {"CapBnd": 1 << 5}


# config.md#linux-process: apparmorProfile and selinuxLabel


@pytest.mark.parametrize(
    ("field", "enabled"),
    [
        ("apparmor_profile", preconditions.apparmor_is_enabled()),
        ("selinux_label", preconditions.selinux_is_enabled()),
    ],
)
def test_a_label_without_its_security_module_is_refused(run: Run, field: str, enabled: bool) -> None:
    """config.md#linux-process (apparmorProfile, selinuxLabel)"""
    if enabled:
        pytest.skip("this kernel has the module")
    with pytest.raises(Unsupported, match=r"is not enabled in this kernel"):
        run("true", **{field: "x"})


def test_our_own_procfs_shows_ourselves() -> None:
    """CVE-2025-52881: written through a procfs that nobody else has touched."""
    with procfs.private() as proc_fd:
        assert procfs.read(proc_fd, "self/comm") == Path("/proc/self/comm").read_text().strip()
        procfs.write(proc_fd, "self/comm", "renamed")
        assert procfs.read(proc_fd, "self/comm") == "renamed"
        with pytest.raises(OSError, match="openat2"):
            procfs.read(proc_fd, "self/cwd/etc/passwd")


def test_a_procfs_of_our_own_in_a_user_namespace() -> None:
    """CVE-2025-52881: of the PID namespace that init is in."""
    reading, writing = os.pipe()
    pid, pidfd = namespaces.clone3(CloneFlags.NEWUSER | CloneFlags.NEWPID | CloneFlags.NEWNS)
    if pid == 0:
        try:
            os.write(writing, procfs.read(procfs.open_private(), "self/status").encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as output:
        status = output.read()
    os.waitpid(pid, 0)
    os.close(pidfd)
    assert "\nPid:\t1\n" in status


# config.md#linux-process: execCPUAffinity


def _in_child(action: Callable[[], object]) -> str:
    """What it returns, as text, in a process of its own; its error otherwise."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = str(action())
        except AethelError as error:
            text = f"{type(error).__name__}: {error.message}"
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as output:
        text = output.read()
    os.waitpid(pid, 0)
    return text


def test_a_process_begins_on_the_initial_cpus_and_ends_on_the_final_ones() -> None:
    """config.md#linux-process (execCPUAffinity)"""
    last = max(os.sched_getaffinity(0))
    process = Process(cwd="/", exec_cpu_affinity=CpuAffinity(initial="0", final=f"{last}"))

    def joins() -> object:
        before = os.sched_getaffinity(0)
        with affinity.initial(process):
            during = os.sched_getaffinity(0)
        after = os.sched_getaffinity(0)
        affinity.set_final(0, process)
        return during == {0}, before == after, os.sched_getaffinity(0) == {last}

    assert _in_child(joins) == "(True, True, True)"


def test_without_a_final_list_the_kernel_decides() -> None:
    """config.md#linux-process (execCPUAffinity): SHOULD NOT change it."""
    process = Process(cwd="/", exec_cpu_affinity=CpuAffinity(initial="0"))

    def joins() -> object:
        os.sched_setaffinity(0, {0})
        affinity.set_final(0, process)
        kept = os.sched_getaffinity(0)
        affinity.set_final(0, Process(cwd="/"))
        return kept == {0}, len(os.sched_getaffinity(0)) == os.cpu_count()

    assert _in_child(joins) == "(True, True)"


def test_a_cpu_that_is_not_there_is_an_error() -> None:
    """config.md#linux-process (execCPUAffinity)"""
    process = Process(cwd="/", exec_cpu_affinity=CpuAffinity(initial="8191", final="8191"))
    with (
        pytest.raises(InvalidArgument, match=r"execCPUAffinity\.initial: none of the CPUs 8191"),
        affinity.initial(process),
    ):
        pass
    with pytest.raises(InvalidArgument, match=r"execCPUAffinity\.final: none of the CPUs 8191"):
        affinity.set_final(0, process)


def test_the_runtimes_own_cpus_are_not_the_containers(run: Run) -> None:
    """config.md#linux-process (execCPUAffinity): it is not applicable to init, which runs where its cgroup may."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        answer = run("grep Cpus_allowed_list: /proc/self/status", exec_cpu_affinity=CpuAffinity(initial="0", final="0"))
    finally:
        os.sched_setaffinity(0, before)
    assert answer.split()[1] == Path("/sys/devices/system/cpu/possible").read_text().strip()


def test_an_exec_is_given_the_same_by_its_parent() -> None:
    """config.md#linux-process: what `create` gives init, `exec` gives its process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reading, 1)
        os._exit(0)
    try:
        attributes.give(
            pid,
            Process(
                cwd="/",
                oom_score_adj=77,
                rlimits=(Rlimit(type="RLIMIT_CPU", soft=5, hard=6),),
                scheduler=Scheduler(policy=SchedulerPolicy.BATCH),
            ),
        )
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "77"
        assert os.sched_getscheduler(pid) == os.SCHED_BATCH
        assert "Max cpu time              5                    6" in Path(f"/proc/{pid}/limits").read_text()
        limits.set_oom_score(pid, Process(cwd="/"))
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "77"
    finally:
        os.write(writing, b"x")
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)


# config-linux.md#network-devices


@pytest.fixture
def host_network() -> Iterator[None]:
    """A network namespace that stands for the host's, with this process in it."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    namespaces.unshare(CloneFlags.NEWNET)
    try:
        yield
    finally:
        namespaces.setns(own, CloneFlags.NEWNET)
        os.close(own)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def _link(name: str, *addresses: str) -> None:
    """One end of a pair whose other end is up; `ip` sees to the rest."""
    _ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-peer")
    _ip("link", "set", f"{name}-peer", "up")
    for address in addresses:
        _ip("address", "add", *address.split(), "dev", name)
    _ip("link", "set", name, "up")


def _moved(**devices: str) -> dict[str, Any]:
    return {"net_devices": {name: NetDevice(name=new_name) for name, new_name in devices.items()}}


@pytest.mark.usefixtures("host_network")
@pytest.mark.parametrize("userns", [False, True])
def test_a_link_moves_with_its_addresses_and_is_up(run: Run, userns: bool) -> None:
    """config-linux.md#network-devices: permanent global addresses of any family go along, others do not."""
    _link(
        "d0",
        "10.66.0.2/24 brd 10.66.0.255",
        "10.66.0.3 peer 10.66.1.1/32",
        "fd66::2/64 nodad",
        "10.66.9.9/24 valid_lft 1000 preferred_lft 500",
        "169.254.7.7/16 scope link",
    )
    lines = run("ip address show dev eth7", userns=userns, linux=_moved(d0="eth7")).splitlines()
    assert ",UP" in lines[0]
    assert [line.strip().split(" dev ")[0] for line in lines if " inet" in line and "fe80" not in line] == [
        "inet 10.66.0.2/24 brd 10.66.0.255 scope global eth7",
        "inet 10.66.0.3 peer 10.66.1.1/32 scope global eth7",
        "inet6 fd66::2/64 scope global flags 02",
    ]
    assert _links() == ["lo"]


def _links() -> list[str]:
    """Those that are up, and lo; without the peers."""
    with Rtnetlink() as rtnetlink:
        return [link.name for link in rtnetlink.links() if "-peer" not in link.name and (link.up or link.name == "lo")]


@pytest.mark.usefixtures("host_network")
def test_a_link_keeps_its_name_unless_it_is_given_one(run: Run) -> None:
    """config-linux.md#network-devices (name)"""
    _link("d0")
    assert " d0@" in run("ip -o link show dev d0", linux=_moved(d0=""))


@pytest.mark.usefixtures("host_network")
def test_a_template_gets_the_first_number_that_is_free(run: Run) -> None:
    """config-linux.md#network-devices: `%d`"""
    _link("d0", "10.66.0.1/24")
    _link("d1", "10.66.0.2/24")
    answer = run("ip -o -4 address show", linux=_moved(d0="net%d", d1="net%d"))
    assert re.findall(r"(net\d) +inet ([\d.]+)", answer) == [("net0", "10.66.0.1"), ("net1", "10.66.0.2")]


@pytest.mark.usefixtures("host_network")
def test_a_link_that_is_not_there_is_named_and_the_others_are_back(run: Run) -> None:
    """config-linux.md#network-devices: an error leaves the host as it was."""
    _link("d0", "10.66.0.2/24", "fd66::2/64 nodad")
    before = _ip("-o", "address", "show", "dev", "d0", "scope", "global").replace("dynamic", "")
    descriptors = _open_descriptors()
    with pytest.raises(NotFound, match=r"linux\.netDevices: d1: no such link"):
        run("true", linux=_moved(d0="eth7", d1="eth8"))
    assert _open_descriptors() == descriptors
    after = _ip("-o", "address", "show", "dev", "d0", "scope", "global")
    assert [line.split()[1:4] for line in after.splitlines()] == [line.split()[1:4] for line in before.splitlines()]
    assert _links() == ["lo", "d0"]


@pytest.mark.usefixtures("host_network")
def test_a_name_that_is_taken_inside_is_an_error(run: Run) -> None:
    """config-linux.md#network-devices: it MUST be."""
    _link("d0", "10.66.0.2/24")
    with pytest.raises(AlreadyExists, match=r"linux\.netDevices: d0: the container has a link lo already"):
        run("true", linux=_moved(d0="lo"))
    assert _links() == ["lo", "d0"]


@pytest.mark.usefixtures("host_network")
def test_a_link_that_cannot_move_is_an_error_in_the_kernels_words(run: Run) -> None:
    """config-linux.md#network-devices: the runtime MUST check if the move is possible."""
    with pytest.raises(InvalidArgument, match=r"linux\.netDevices: lo: .*RTM_NEWLINK: Invalid argument"):
        run("true", linux=_moved(lo="lo9"))


# config-linux.md#namespaces (network)


@pytest.mark.parametrize("userns", [False, True])
def test_loopback_is_up_in_a_new_network_namespace(run: Run, userns: bool) -> None:
    """config-linux.md#namespaces (network): as every runtime has it."""
    answer = run("ip address show dev lo", userns=userns)
    assert "LOOPBACK,UP" in answer
    assert "inet 127.0.0.1/8" in answer


def test_a_link_name_with_a_length_that_does_not_fit_is_refused() -> None:
    """CVE-2021-43784: lengths are checked before they are sent."""
    with Rtnetlink() as rtnetlink:
        for name in ("", "x" * 16, "x" * 70000):
            with pytest.raises(OSError, match="1 to 15 bytes"):
                rtnetlink.set_up(name)
        assert rtnetlink.link("lo").index == socket.if_nametoindex("lo")


# config-linux.md#time-namespace


def test_offsets_are_those_of_the_children() -> None:
    """config-linux.md#time-namespace"""
    offsets = {"monotonic": TimeOffset(secs=86400, nanosecs=7), "boottime": TimeOffset(secs=604800)}

    def child() -> object:
        namespaces.unshare(CloneFlags.NEWTIME)
        timens.write_offsets("self", offsets)
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        # Who executes a program enters the namespace.
        inside = subprocess.run(["cat", "/proc/uptime"], check=True, capture_output=True, text=True).stdout
        return 604800 <= float(inside.split()[0]) - uptime < 604860, Path("/proc/self/timens_offsets").read_text()

    moved, text = eval(_in_child(child))
    assert moved
    assert [line.split() for line in text.splitlines()] == [["monotonic", "86400", "7"], ["boottime", "604800", "0"]]


@pytest.mark.parametrize(
    ("secs", "words"),
    [(2**40, "InvalidSpec: linux.timeOffsets: a clock"), (-(2**33), "InvalidSpec: linux.timeOffsets: a clock")],
)
def test_an_offset_out_of_range_is_named(secs: int, words: str) -> None:
    """config-linux.md#time-namespace"""

    def child() -> object:
        namespaces.unshare(CloneFlags.NEWTIME)
        return timens.write_offsets("self", {"boottime": TimeOffset(secs=secs)})

    assert _in_child(child).startswith(words)


def test_offsets_come_before_the_first_process() -> None:
    """config-linux.md#time-namespace"""

    def child() -> object:
        namespaces.unshare(CloneFlags.NEWTIME)
        subprocess.run(["true"], check=True)
        return timens.write_offsets("self", {"boottime": TimeOffset(secs=1)})

    assert _in_child(child) == "WrongState: linux.timeOffsets: a process is in the new time namespace already"


# config-linux.md#intelrdt


def test_resctrl_that_is_not_mounted_is_an_error(rootfs: Path) -> None:
    """config-linux.md#intelrdt: the runtime MUST generate an error."""
    if "resctrl" in Path("/proc/self/mountinfo").read_text():
        pytest.skip("this machine has resctrl")
    spec = _spec("true", userns=False, linux={}, process={})
    document = msgspec.json.decode(encode(spec))
    document["linux"]["intelRdt"] = {"closID": "x"}
    with pytest.raises(Unsupported, match=r"linux\.intelRdt: no resctrl file system is mounted"):
        preconditions.check(msgspec.json.decode(msgspec.json.encode(document), type=Spec))
