"""aethel_run alone, without a daemon: a bundle becomes a process, in the world that its document describes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aethel_common.errors import AethelError, CannotExecute, CommandNotFound, NotFound, StepFailed
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_run.lifecycle.create import CreateOptions, create
from aethel_run.process import idmap
from aethel_run.process.sources import open_source
from aethel_run.spec.config import Root, Spec
from aethel_run.spec.linux import IdMapping, Namespace, NamespaceType
from aethel_run.spec.mounts import Mount
from aethel_run.spec.process import Capabilities, Rlimit, User
from aethel_run.spec.template import default_spec
from tests.harness import host

HOST_ID = 600_000


@dataclass(frozen=True)
class Ended:
    """How a container ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> list[str]:
        return self.out.split()


def mapped(root: str) -> Callable[[int | None], int]:
    """For CreateOptions.open_rootfs: in a user namespace its root owns what root owns."""

    def open_rootfs(userns_fd: int | None) -> int:
        words = ("rbind",) if userns_fd is None else ("rbind", "ridmap")
        return open_source(Mount(destination="/", type="bind", source=root, options=words), userns_fd)

    return open_rootfs


class Sandbox:
    """A root with busybox in it, and a way to run a script there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            (root / name).mkdir(parents=True)
        busybox = shutil.which("busybox")
        assert busybox is not None
        shutil.copy(busybox, root / "bin/busybox")
        for name in ("cat", "id", "ls", "readlink", "sh", "stat", "wc", "touch", "hostname", "grep", "head", "sleep"):
            (root / "bin" / name).symlink_to("busybox")
        (root / "etc/file").write_text("of the root\n")

    def run(self, spec: Spec, **options: Any) -> Ended:
        """From create to the end. Raises what create and start raise."""
        out, inside_out = os.pipe2(os.O_CLOEXEC)
        err, inside_err = os.pipe2(os.O_CLOEXEC)
        nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        with open(out, "rb") as stdout, open(err, "rb") as stderr:
            try:
                container = create(
                    spec,
                    CreateOptions(
                        open_rootfs=mapped(str(self.root)),
                        stdio=(nothing, inside_out, inside_err),
                        **options,
                    ),
                )
            finally:
                for fd in (nothing, inside_out, inside_err):
                    os.close(fd)
            try:
                container.start()
                written = stdout.read().decode(), stderr.read().decode()
                result = os.waitid(os.P_PIDFD, container.pidfd, os.WEXITED)
                assert result is not None
                return Ended(result.si_status, *written)
            finally:
                container.abandon()


def spec(script: str = "true", *, users: bool = False, linux: dict[str, Any] | None = None, **process: Any) -> Spec:
    """The default document with a script for its program; with `users`, in a user namespace too."""
    base = default_spec()
    changes = dict(linux or {})
    if users:
        mapping = (IdMapping(container_id=0, host_id=HOST_ID, size=65536),)
        namespaces = (*base.linux.namespaces, Namespace(type=NamespaceType.USER))
        changes |= {"namespaces": namespaces, "uid_mappings": mapping, "gid_mappings": mapping}
    return msgspec.structs.replace(
        base,
        process=msgspec.structs.replace(
            base.process, **{"terminal": False, "args": ("/bin/sh", "-c", script), **process}
        ),
        linux=msgspec.structs.replace(base.linux, **changes),
    )


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Whatever a test does: no process, mount or descriptor of its own is left."""
    made = Sandbox(tmp_path / "root")
    for directory in (made.root, *tmp_path.parents[:3]):
        assert directory.stat().st_mode & stat.S_IXUSR
    before = left(tmp_path)
    yield made
    assert left(tmp_path) == before


def left(directory: Path) -> tuple[list[str], list[str], list[str]]:
    children = [each for task in Path("/proc/self/task").iterdir() for each in (task / "children").read_text().split()]
    # The listing itself takes a descriptor, the same one each time.
    return os.listdir("/proc/self/fd"), children, host.mounts_of(directory)


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    made = Cgroup(mount_point() / f"aethel-host-{os.getpid()}")
    made.make()
    yield made
    assert made.pids() == []
    made.remove()
    assert not made.path.exists()


KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "uts")


@pytest.mark.parametrize("users", [False, True])
def test_every_namespace_is_its_own(sandbox: Sandbox, users: bool) -> None:
    links = " ".join(f"/proc/self/ns/{kind}" for kind in (*KINDS, "user"))
    done = sandbox.run(spec(f"echo $$; for each in {links}; do readlink $each; done", users=users))
    assert done.words[0] == "1", done.err
    ours = {os.readlink(f"/proc/self/ns/{kind}") for kind in (*KINDS, "user")}
    assert len(ours.intersection(done.words[1:])) == (0 if users else 1)


def test_it_sees_the_mounts_of_its_document_and_no_others(sandbox: Sandbox) -> None:
    document = spec("while read -r a b c d where rest; do echo $where; done < /proc/self/mountinfo")
    done = sandbox.run(document)
    wanted = {mount.destination for mount in document.mounts}
    assert done.words[0] == "/"
    assert wanted <= set(done.words)
    hidden = (*document.linux.masked_paths, *document.linux.readonly_paths)
    assert all(path in wanted or path.startswith(("/dev/", *hidden)) for path in done.words[1:]), done.words


def test_binds_are_there_with_their_options(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "bound").mkdir(mode=0o755)
    (tmp_path / "bound/file").write_text("of the host\n")
    document = spec("cat /made/here/file; touch /made/here/new 2>/dev/null || echo read-only", users=True)
    bind = Mount(destination="/made/here", type="bind", source=str(tmp_path / "bound"), options=("rbind", "ro"))
    done = sandbox.run(msgspec.structs.replace(document, mounts=(*document.mounts, bind)))
    assert done.out == "of the host\nread-only\n", done.err
    assert os.listdir(tmp_path / "bound") == ["file"]


@pytest.mark.parametrize("users", [False, True])
def test_the_devices_are_the_usual_ones(sandbox: Sandbox, users: bool) -> None:
    names = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
    script = "; ".join(f"stat -c '%n %t:%T %a' /dev/{name}" for name in names)
    done = sandbox.run(
        spec(f"{script}; head -c 3 /dev/zero | wc -c; echo x > /dev/null; readlink /dev/fd", users=users)
    )
    lines = done.out.splitlines()
    assert lines[: len(names)] == [f"/dev/{name} {number} 666" for name, number in names.items()], done.err
    assert lines[len(names) :] == ["3", "/proc/self/fd"]


@pytest.mark.parametrize("users", [False, True])
def test_masked_paths_are_empty_and_read_only_ones_cannot_be_written(sandbox: Sandbox, users: bool) -> None:
    script = "wc -c < /proc/keys; ls /sys/firmware | wc -l; echo x 2>&1 > /proc/sys/kernel/domainname || echo refused"
    done = sandbox.run(spec(script, users=users))
    assert done.words[:2] == ["0", "0"]
    assert done.words[-1] == "refused"


def test_identity_is_the_document_s(sandbox: Sandbox) -> None:
    user = User(uid=1000, gid=1001, additional_gids=(1001, 5, 6), umask=0o027)
    script = "id -u; id -g; id -G; umask; pwd; echo $A; hostname; touch /tmp/made; stat -c %a:%u:%g /tmp/made"
    (sandbox.root / "tmp").chmod(0o1777)
    done = sandbox.run(spec(script, user=user, cwd="/etc", env=("A=b c", "PATH=/bin")))
    assert done.out.splitlines() == [
        *("1000", "1001", "1001 5 6", "0027", "/etc", "b c", "aethel", "640:1000:1001"),
    ], done.err


def test_root_of_a_user_namespace_is_somebody_else_outside(sandbox: Sandbox) -> None:
    (sandbox.root / "etc/file").chmod(0o600)
    done = sandbox.run(spec("id -u; stat -c %u:%g /etc/file; cat /etc/file; touch /tmp/made", users=True))
    assert done.out == "0\n0:0\nof the root\n", done.err
    # Idmapped: what its root makes belongs to the owner of the tree, not to an id that nobody knows.
    assert (sandbox.root / "tmp/made").stat().st_uid == 0


def status_of(done: Ended) -> dict[str, int]:
    pairs = (line.split(":\t", 1) for line in done.out.splitlines() if line.startswith(("Cap", "NoNewPrivs")))
    return {name: int(value, 16) for name, value in pairs}


def test_capabilities_are_the_document_s(sandbox: Sandbox) -> None:
    found = status_of(sandbox.run(spec("cat /proc/self/status")))
    assert found["CapBnd"] == found["CapEff"] == found["CapPrm"] == 0xA80425FB
    assert (found["CapInh"], found["CapAmb"], found["NoNewPrivs"]) == (0, 0, 0)
    one = ("CAP_NET_BIND_SERVICE",)
    sets = Capabilities(bounding=one, permitted=one, effective=one, inheritable=one, ambient=one)
    done = sandbox.run(
        spec("cat /proc/self/status", capabilities=sets, user=User(uid=7, gid=7), no_new_privileges=True)
    )
    found = status_of(done)
    assert {found[name] for name in ("CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb")} == {1 << 10}
    assert found["NoNewPrivs"] == 1


def test_without_capabilities_there_are_none(sandbox: Sandbox) -> None:
    found = status_of(sandbox.run(spec("cat /proc/self/status", capabilities=Capabilities())))
    assert {found[name] for name in ("CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb")} == {0}


def test_no_descriptor_but_the_three_comes_along(sandbox: Sandbox) -> None:
    ours = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(ours, True)
    try:
        assert sandbox.run(spec("ls /proc/self/fd")).words == ["0", "1", "2", "3"]  # 3 is ls itself, reading
    finally:
        os.close(ours)


def test_it_is_born_in_its_cgroup(sandbox: Sandbox, cgroup: Cgroup) -> None:
    seen: list[list[int]] = []
    done = sandbox.run(
        spec("grep ^0:: /proc/self/cgroup"), cgroup=cgroup, namespaces_ready=lambda pid: seen.append(cgroup.pids())
    )
    assert len(seen[0]) == 1
    assert done.out == "0::/\n"


def test_a_read_only_root(sandbox: Sandbox) -> None:
    document = msgspec.structs.replace(
        spec("touch /x || touch /dev/shm/x && echo there"), root=Root(path="rootfs", readonly=True)
    )
    assert sandbox.run(document).out == "there\n"
    assert not (sandbox.root / "x").exists()


def test_limits_of_resources(sandbox: Sandbox) -> None:
    limits = (Rlimit(type="RLIMIT_NOFILE", soft=123, hard=456), Rlimit(type="RLIMIT_CORE", soft=0, hard=2**64 - 1))
    done = sandbox.run(spec("ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc", rlimits=limits))
    assert done.words == ["123", "456", "0", "unlimited"]


def test_a_terminal_is_its_own_and_is_handed_out(sandbox: Sandbox) -> None:
    document = spec("test -t 0 && test -t 1 && test -t 2 && readlink /proc/self/fd/0; exit 5", terminal=True)
    container = create(document, CreateOptions(open_rootfs=mapped(str(sandbox.root))))
    try:
        assert container.console_fd is not None
        container.start()
        assert os.read(container.console_fd, 100) == b"/dev/pts/0\r\n"
        result = os.waitid(os.P_PIDFD, container.pidfd, os.WEXITED)
        assert result is not None
        assert result.si_status == 5
    finally:
        container.abandon()


def test_what_was_created_may_be_abandoned(sandbox: Sandbox, cgroup: Cgroup) -> None:
    container = create(
        spec("echo never > /tmp/ran", users=True),
        CreateOptions(open_rootfs=mapped(str(sandbox.root)), cgroup=cgroup),
    )
    assert cgroup.pids() == [container.pid]
    container.abandon()
    assert os.listdir(sandbox.root / "tmp") == []


# -- failures: told by step, system call and errno; nothing is left (the fixture looks) --------------


def with_mount(mount: Mount) -> Spec:
    document = spec(users=True)
    return msgspec.structs.replace(document, mounts=(*document.mounts, mount))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (with_mount(Mount(destination="/x", type="nosuchfs")), ("fsopen(2): No such device", "nosuchfs")),
        (
            with_mount(Mount(destination="/x", type="tmpfs", options=("size=?",))),
            ("fsconfig(2): Invalid argument", "/x"),
        ),
        (with_mount(Mount(destination="/etc/file/x", type="tmpfs")), ("is not a directory",)),
        (spec(linux={"sysctl": {"net.ipv4.no_such_thing": "1"}}), ("No such file or directory", "no_such_thing")),
        (spec(rlimits=(Rlimit(type="RLIMIT_NICE", soft=41, hard=2**63),)), ("RLIMIT_NICE",)),
        (spec(rlimits=(Rlimit(type="RLIMIT_NICE", soft=41, hard=40),)), ("RLIMIT_NICE",)),
        (spec(cwd="/etc/file"), ("Not a directory", "/etc/file")),
    ],
    ids=["type", "option", "place", "sysctl", "number", "rlimit", "cwd"],
)
def test_a_step_that_fails_is_named(sandbox: Sandbox, cgroup: Cgroup, document: Spec, words: tuple[str, ...]) -> None:
    with pytest.raises(AethelError) as caught:
        sandbox.run(document, cgroup=cgroup)
    for word in words:
        assert word in str(caught.value)
    if isinstance(caught.value, StepFailed):
        assert caught.value.errno or "in the container is not" in caught.value.message
        assert caught.value.message.startswith(f"{caught.value.step}: ")
        assert "see " in caught.value.hint


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (("no-such-command",), CommandNotFound),
        (("/no/such/file",), CommandNotFound),
        (("/etc",), CannotExecute),
        (("/etc/file",), CannotExecute),
    ],
)
def test_a_program_that_is_not_one(
    sandbox: Sandbox, cgroup: Cgroup, args: tuple[str, ...], kind: type[AethelError]
) -> None:
    with pytest.raises(kind, match=args[0]):
        sandbox.run(spec(args=args, env=("PATH=/bin",)), cgroup=cgroup)


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("where", ["namespaces_ready", "final_process"])
@pytest.mark.parametrize("error", [OSError("not this time"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_caller_that_fails_half_way_leaves_nothing(
    sandbox: Sandbox, cgroup: Cgroup, where: str, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        sandbox.run(spec(users=True), cgroup=cgroup, **{where: raising(error)})


def test_a_root_that_is_not_there(sandbox: Sandbox) -> None:
    sandbox.root = sandbox.root / "missing"
    with pytest.raises(NotFound, match="missing"):
        sandbox.run(spec())


NO_IDMAP = """
import os, sys
from aethel_common.errors import Unsupported
from aethel_run.process.sources import open_source
from aethel_run.spec.mounts import Mount
users = os.open(f"/proc/{sys.argv[2]}/ns/user", os.O_RDONLY)
before = os.listdir("/proc/self/fd")
try:
    open_source(Mount(destination="/x", type="bind", source=sys.argv[1], options=("rbind", "ridmap")), users)
except Unsupported as error:
    print(error, os.listdir("/proc/self/fd") == before)
"""


def test_a_bind_that_cannot_be_idmapped_is_named_with_the_way_out(tmp_path: Path) -> None:
    """In a mount namespace of its own; the user namespace is that of a process that waits."""
    with subprocess.Popen(["unshare", "--user", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdin is not None
        assert waiting.stdout is not None
        waiting.stdin.write(b"x")
        waiting.stdin.flush()
        waiting.stdout.read(1)  # it is there
        idmap.write_maps(waiting.pid, spec(users=True).linux)
        script = 'mount -t ramfs ramfs "$1" && exec "$2" -c "$3" "$1" "$4"'
        arguments = [str(tmp_path), sys.executable, NO_IDMAP, str(waiting.pid)]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "-", *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        waiting.stdin.close()
    assert f"{tmp_path} is on ramfs, which cannot be idmapped" in done.stdout
    assert "--userns host" in done.stdout
    assert done.stdout.endswith("True\n")
