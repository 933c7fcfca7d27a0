"""The pure parts of what a process is like: lists, capabilities, rules, offsets, resctrl's files, the choice of a label."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_common.errors import AethelError, InvalidSpec, NotFound, Unsupported
from aethel_common.linux.capabilities import Capability
from aethel_run.init.steps import labels
from aethel_run.process import preconditions, rdt, timens
from aethel_run.spec import lists, privileges, validate
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import IntelRdt, NetDevice, TimeOffset
from aethel_run.spec.privileges import Masks
from aethel_run.spec.process import Capabilities, ConsoleSize, CpuAffinity, Process, User
from aethel_run.spec.rules import process as of_process
from aethel_run.spec.scheduling import Scheduler, SchedulerPolicy
from aethel_run.spec.template import default_spec

# -- lists of CPUs and nodes: config.md#linux-process (execCPUAffinity), config-linux.md#memory-policy


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", set()),
        ("7", {7}),
        ("0-3,7", {0, 1, 2, 3, 7}),
        ("0-0", {0}),
        (" 1 ,, 3-4 ,", {1, 3, 4}),
        ("5,5,4-6", {4, 5, 6}),
        ("0-99", set(range(100))),
    ],
)
def test_a_list_has_the_members_that_it_says(text: str, members: set[int]) -> None:
    assert lists.numbers(text, "x", 100) == members


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a", "neither a number nor a range"),
        ("-1", "neither"),
        ("1-", "neither"),
        ("1-2-3", "neither"),
        ("0x1", "neither"),
        ("1_0", "neither"),
        ("٣", "neither"),
        ("0-10:2/4", "neither"),
        ("1 - 2", "neither"),
        ("3-1", "ends before it begins"),
        ("100", "100 is more than 99"),
        ("0-99999999999", "neither"),
        ("0-4294967295", "4294967295 is more than 99"),
        (",", "lists nothing"),
    ],
)
def test_what_is_no_list_is_refused_with_its_path(text: str, words: str) -> None:
    with pytest.raises(InvalidSpec, match=f"^process.x: .*{words}"):
        lists.numbers(text, "process.x", 100)


@given(st.sets(st.integers(0, lists.MAX_CPUS - 1), min_size=1, max_size=50))
def test_any_set_written_out_is_read_back(members: set[int]) -> None:
    assert lists.numbers(",".join(map(str, members)), "x", lists.MAX_CPUS) == members


@given(st.text(alphabet="0123456789-, ", max_size=20))
def test_text_is_a_list_or_an_error_and_never_more_than_the_limit(text: str) -> None:
    try:
        assert all(0 <= member < 64 for member in lists.numbers(text, "x", 64))
    except InvalidSpec as error:
        assert error.message.startswith("x: ")  # noqa: PT017 -- either is right


# -- capabilities: config.md#linux-process

_SETS = st.integers(0, 2**41 - 1)


@given(
    st.builds(Masks, bounding=_SETS, effective=_SETS, permitted=_SETS, inheritable=_SETS, ambient=_SETS), _SETS, _SETS
)
def test_what_is_granted_is_what_the_kernel_accepts(wanted: Masks, permitted: int, bounding: int) -> None:
    """capset(2) and capabilities(7): each rule whose breach is EPERM."""
    granted = privileges.grantable(wanted, permitted=permitted, bounding=bounding)
    assert granted.permitted & ~permitted == 0
    assert granted.effective & ~granted.permitted == 0
    assert granted.inheritable & ~(permitted & bounding) == 0
    assert granted.ambient & ~(granted.permitted & granted.inheritable) == 0
    assert granted.bounding & ~bounding == 0
    for kind, capability in privileges.withheld(wanted, granted):
        assert getattr(wanted, kind) >> capability & 1
        assert not getattr(granted, kind) >> capability & 1


@given(_SETS)
def test_nothing_is_withheld_from_who_has_everything(bits: int) -> None:
    wanted = Masks(bounding=bits, effective=bits, permitted=bits, inheritable=bits, ambient=bits)
    everything = 2**41 - 1
    assert privileges.grantable(wanted, permitted=everything, bounding=everything) == wanted


def test_names_become_bits_and_unknown_ones_none() -> None:
    sets = Capabilities(bounding=("CAP_CHOWN", "CAP_OF_TOMORROW"), ambient=("CAP_CHECKPOINT_RESTORE",))
    assert privileges.asked(sets) == Masks(bounding=1, effective=0, permitted=0, inheritable=0, ambient=1 << 40)


def test_each_capability_that_is_withheld_is_told_with_its_set() -> None:
    wanted = privileges.asked(Capabilities(permitted=("CAP_KILL", "CAP_BPF"), effective=("CAP_BPF",)))
    granted = privileges.grantable(wanted, permitted=1 << Capability.CAP_KILL, bounding=0)
    assert list(privileges.withheld(wanted, granted)) == [
        ("effective", Capability.CAP_BPF),
        ("permitted", Capability.CAP_BPF),
    ]


# -- rules


def _process(**changes: object) -> Process:
    return msgspec.structs.replace(Process(cwd="/", args=("sh",)), **changes)


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (_process(user=User(uid=2**32 - 1)), r"process\.user\.uid: 4294967295 is not an id"),
        (_process(user=User(gid=2**32 - 1)), r"process\.user\.gid"),
        (_process(user=User(additional_gids=(1, 2**32 - 1))), r"process\.user\.additionalGids"),
        (_process(user=User(additional_gids=tuple(range(65536)))), "65536 are more"),
        (_process(user=User(umask=0o1000)), r"process\.user\.umask: 01000 is more than 0777"),
        (_process(console_size=ConsoleSize(height=65536, width=1)), r"process\.consoleSize: 1x65536"),
        (_process(scheduler=Scheduler(policy=SchedulerPolicy.OTHER, nice=20)), "nice: 20 is not from -20 to 19"),
        (_process(scheduler=Scheduler(policy=SchedulerPolicy.FIFO, priority=-1)), "priority: -1"),
        (_process(scheduler=Scheduler(policy=SchedulerPolicy.DEADLINE, runtime=2**64)), "64 bits"),
        (_process(scheduler=Scheduler(policy=SchedulerPolicy.IDLE, priority=1)), "SCHED_IDLE has none"),
        (_process(scheduler=Scheduler(policy=SchedulerPolicy.RR, period=1)), "go with SCHED_DEADLINE"),
        (_process(exec_cpu_affinity=CpuAffinity(initial="x")), r"^process\.execCPUAffinity\.initial: 'x'"),
        (_process(exec_cpu_affinity=CpuAffinity(final="3-1")), r"^process\.execCPUAffinity\.final: '3-1'"),
    ],
)
def test_what_a_process_cannot_be_is_refused_by_name(process: Process, words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        of_process.check(process)


def _linux(**changes: object) -> Spec:
    spec = default_spec()
    return msgspec.structs.replace(spec, linux=msgspec.structs.replace(spec.linux, **changes))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (_linux(net_devices={"e": NetDevice(name="x%s")}), "'x%s' cannot be the name of a link"),
        (_linux(net_devices={"e": NetDevice(name="%d%d")}), "cannot be the name of a link"),
        (_linux(net_devices={"e": NetDevice(name="0123456789abcdef")}), "cannot be the name of a link"),
        (_linux(net_devices={"a": NetDevice(name="e"), "e": NetDevice()}), "2 links would be called e"),
        (_linux(intel_rdt=IntelRdt(clos_id="a/b")), "closID: 'a/b'"),
        (_linux(intel_rdt=IntelRdt(clos_id="..")), r"closID: '\.\.'"),
        (_linux(intel_rdt=IntelRdt(mem_bw_schema="L3:0=1")), "does not begin with MB:"),
        (_linux(intel_rdt=IntelRdt(l3_cache_schema="L3:0=1\nMB:0=1")), "l3CacheSchema: .* more than a line"),
        (_linux(intel_rdt=IntelRdt(schemata=("L3:0=1", "L2:0=1\n"))), r"schemata\[1\]"),
    ],
)
def test_what_a_machine_cannot_be_is_refused_by_name(spec: Spec, words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        validate.check(spec)


def test_what_is_unusual_and_right_is_taken() -> None:
    devices = {"a": NetDevice(name="eth%d"), "b": NetDevice(name="eth%d"), "c": NetDevice()}
    validate.check(_linux(net_devices=devices, intel_rdt=IntelRdt(clos_id="/", schemata=("L3:0=f",))))


# -- time offsets: config-linux.md#time-namespace


def test_offsets_are_a_line_each() -> None:
    offsets = {"monotonic": TimeOffset(secs=-5, nanosecs=7), "boottime": TimeOffset(secs=2**40)}
    assert timens.render(offsets) == "boottime 1099511627776 0\nmonotonic -5 7\n"
    assert timens.render({}) == ""


# -- resctrl: config-linux.md#intelrdt


@pytest.fixture
def resctrl(tmp_path: Path) -> Path:
    """A directory that stands for the file system, with one class of service that somebody made before."""
    (tmp_path / "info").mkdir()
    for directory in (tmp_path, tmp_path / "ready"):
        (directory / "mon_groups").mkdir(parents=True)
        (directory / "schemata").write_text("    MB:0=100;1= 50\n    L3:0=7f0;1=01f\nL3CODE:weird\n")
        (directory / "tasks").write_text("")
    return tmp_path


def test_a_class_of_its_own_is_made_filled_and_removed(resctrl: Path) -> None:
    """Without closID the container's id names it; L3 first, MB then, schemata last."""
    wanted = IntelRdt(l3_cache_schema="L3:0=f", mem_bw_schema="MB:0=20", schemata=("L2:0=f", "L3:1=f"))
    assignment = rdt.assign(str(resctrl), wanted, "c1", 42)
    assert assignment == rdt.Assignment(made=str(resctrl / "c1"))
    assert (resctrl / "c1/schemata").read_text() == "L3:0=f\nMB:0=20\nL2:0=f\nL3:1=f\n"
    assert (resctrl / "c1/tasks").read_text() == "42\n"
    for name in ("schemata", "tasks"):  # on resctrl they go with their directory
        (resctrl / "c1" / name).unlink()
    rdt.remove(assignment)
    assert not (resctrl / "c1").exists()
    rdt.remove(assignment)


def test_a_class_that_is_named_is_made_and_stays(resctrl: Path) -> None:
    """With closID set it MUST NOT be removed."""
    assignment = rdt.assign(str(resctrl), IntelRdt(clos_id="shared", schemata=("L3:0=f",)), "c1", 42)
    assert assignment == rdt.Assignment()
    rdt.remove(assignment)
    assert (resctrl / "shared/tasks").read_text() == "42\n"


def test_a_class_without_shares_must_be_there(resctrl: Path) -> None:
    with pytest.raises(NotFound, match=r"linux\.intelRdt\.closID: .*/missing is not there"):
        rdt.assign(str(resctrl), IntelRdt(clos_id="missing"), "c1", 42)
    assert not (resctrl / "missing").exists()
    before = (resctrl / "ready/schemata").read_text()
    assert rdt.assign(str(resctrl), IntelRdt(clos_id="ready"), "c1", 42) == rdt.Assignment()
    assert (resctrl / "ready/schemata").read_text() == before
    assert (resctrl / "ready/tasks").read_text() == "42\n"


def test_the_default_class_is_the_root(resctrl: Path) -> None:
    assert rdt.assign(str(resctrl), IntelRdt(clos_id="/"), "c1", 42) == rdt.Assignment()
    assert (resctrl / "tasks").read_text() == "42\n"
    assert not (resctrl / "c1").exists()


@pytest.mark.parametrize(
    "wanted",
    [
        IntelRdt(clos_id="ready", l3_cache_schema="L3:1=1f;0=07f0"),
        IntelRdt(clos_id="ready", mem_bw_schema="MB:1=50"),
        IntelRdt(clos_id="ready", schemata=("L3:0=1",)),
    ],
)
def test_a_class_that_is_there_is_taken_when_its_shares_are_the_same(resctrl: Path, wanted: IntelRdt) -> None:
    """As numbers: the kernel writes them in its own way."""
    rdt.assign(str(resctrl), wanted, "c1", 42)
    assert (resctrl / "ready/tasks").read_text() == "42\n"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (IntelRdt(clos_id="ready", l3_cache_schema="L3:0=7f1"), "another share of L3:0"),
        (IntelRdt(clos_id="ready", mem_bw_schema="MB:0=100;1=100"), "another share of MB:1"),
        (IntelRdt(clos_id="ready", l3_cache_schema="L2:0=1"), "another share of L2:0"),
        (IntelRdt(clos_id="ready", l3_cache_schema="L3:0=zz"), "cannot be compared"),
    ],
)
def test_a_class_that_is_there_and_differs_is_an_error(resctrl: Path, wanted: IntelRdt, words: str) -> None:
    before = (resctrl / "ready/schemata").read_text()
    with pytest.raises(InvalidSpec, match=words):
        rdt.assign(str(resctrl), wanted, "c1", 42)
    assert (resctrl / "ready/schemata").read_text() == before
    assert (resctrl / "ready/tasks").read_text() == ""


def test_a_monitoring_group_has_the_containers_id(resctrl: Path) -> None:
    assignment = rdt.assign(str(resctrl), IntelRdt(clos_id="ready", enable_monitoring=True), "c1", 42)
    group = resctrl / "ready/mon_groups/c1"
    assert assignment == rdt.Assignment(monitor=str(group))
    assert (group / "tasks").read_text() == "42\n"
    (group / "tasks").unlink()
    rdt.remove(assignment)
    assert not group.exists()
    assert (resctrl / "ready").exists()


def test_a_monitoring_group_that_cannot_be_made_is_an_error(resctrl: Path) -> None:
    """As it MUST be; the new class has no mon_groups here."""
    with pytest.raises(AethelError, match=r"linux\.intelRdt: .*mon_groups/c1"):
        rdt.assign(str(resctrl), IntelRdt(enable_monitoring=True), "c1", 42)


def test_the_kernels_own_words_are_in_the_error(resctrl: Path) -> None:
    (resctrl / "info/last_cmd_status").write_text("Mask out of range\n")
    (resctrl / "ready/schemata").unlink()
    (resctrl / "ready/schemata").mkdir()
    with pytest.raises(AethelError, match=r"write .*/ready/schemata") as caught:
        rdt.assign(str(resctrl), IntelRdt(clos_id="ready", schemata=("L3:0=fffff",)), "c1", 42)
    assert caught.value.hint == "Mask out of range"


def test_resctrl_is_found_where_it_is_mounted(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 27 0:21 / /proc rw shared:1 - proc proc rw\n33 27 0:40 / /mnt/a\\040b rw - resctrl resctrl rw\n"
    )
    assert rdt.find_resctrl(str(table)) == "/mnt/a b"
    table.write_text("22 27 0:21 / /resctrl rw shared:1 - tmpfs resctrl rw\n")
    with pytest.raises(Unsupported, match=r"linux\.intelRdt: no resctrl file system is mounted"):
        rdt.find_resctrl(str(table))


# -- security labels: config.md#linux-process (apparmorProfile, selinuxLabel)


def _machine(root: Path, *, apparmor: str = "", file_systems: str = "nodev\tproc\n\text4\n") -> str:
    (root / "proc").mkdir()
    (root / "proc/filesystems").write_text(file_systems)
    if apparmor:
        (root / "sys/module/apparmor/parameters").mkdir(parents=True)
        (root / "sys/module/apparmor/parameters/enabled").write_text(apparmor)
    return str(root)


def test_a_machine_without_security_modules_refuses_labels(tmp_path: Path) -> None:
    root = _machine(tmp_path, apparmor="N\n", file_systems="nodev\tselinuxfs2\n")
    preconditions.check_process(_process(), root)
    with pytest.raises(Unsupported, match=r"process\.apparmorProfile: docker-default: AppArmor is not enabled"):
        preconditions.check_process(_process(apparmor_profile="docker-default"), root)
    with pytest.raises(Unsupported, match=r"process\.selinuxLabel: a:b:c: SELinux is not enabled"):
        preconditions.check_process(_process(selinux_label="a:b:c"), root)


def test_a_machine_with_them_does_not(tmp_path: Path) -> None:
    root = _machine(tmp_path, apparmor="Y\n", file_systems="nodev\tselinuxfs\n")
    preconditions.check_process(_process(apparmor_profile="x", selinux_label="y"), root)


class _Files:
    """Attributes that are files of a directory."""

    def __init__(self, root: Path, *files: str) -> None:
        self.root = root
        for file in files:
            (root / "self" / file).parent.mkdir(parents=True, exist_ok=True)
            (root / "self" / file).write_text("")

    def write(self, path: str, value: str) -> None:
        with open(self.root / path, "r+") as file:
            file.write(value)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (("attr/exec", "attr/apparmor/exec"), "attr/apparmor/exec"),
        (("attr/exec",), "attr/exec"),
    ],
)
@pytest.mark.parametrize("profile", ["docker-default", ":namespace://profile"])
def test_the_profile_goes_to_apparmors_own_attribute_where_there_is_one(
    tmp_path: Path, files: tuple[str, ...], chosen: str, profile: str
) -> None:
    attributes = _Files(tmp_path, *files)
    labels.confine(attributes, profile)
    texts = {file: attributes.read(f"self/{file}") for file in files}
    assert texts == {file: f"exec {profile}" if file == chosen else "" for file in files}


def test_cve_2019_16884_a_label_that_was_not_taken_is_an_error(tmp_path: Path) -> None:
    """config.md#linux-process (apparmorProfile): a file that takes every write and has nothing afterwards."""

    class Forgetful(_Files):
        def write(self, path: str, value: str) -> None:
            if not (self.root / path).exists():
                raise FileNotFoundError(path)

    with pytest.raises(OSError, match="does not say docker-default"):
        labels.confine(Forgetful(tmp_path, "attr/exec"), "docker-default")
