"""maskedPaths, readonlyPaths and sysctl: config-linux.md#masked-paths, #readonly-paths, #sysctl."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aethel_common.errors import InvalidSpec, StepFailed
from aethel_common.linux import mounts, namespaces, procfs
from aethel_common.linux.mounts import MountFlags
from aethel_common.linux.namespaces import CloneFlags
from tests.harness.bundle import Bundle, bind, in_shared_mounts, mount


@pytest.mark.parametrize("users", [False, True])
def test_masked_files_read_as_empty_and_directories_have_nothing(bundle: Bundle, users: bool) -> None:
    """config-linux.md#masked-paths: so that they cannot be read."""
    (bundle.rootfs / "secret/sub").mkdir(parents=True)
    (bundle.rootfs / "secret/file").write_text("secret")
    (bundle.rootfs / "password").write_text("secret")
    script = "ls /secret; cat /password; cat /proc/timer_list | wc -c; touch /secret/new 2>/dev/null || echo no"
    changes = {"linux.maskedPaths+": ["/secret", "/password", "/not/there", "/password/not/there"]}
    assert bundle.run(script, changes, users=users).lines == ["0", "no"]


def test_what_is_mounted_below_a_masked_directory_is_hidden_too(bundle: Bundle, tmp_path: Path) -> None:
    """config-linux.md#masked-paths"""
    (tmp_path / "file").write_text("secret")
    changes = {"mounts+": [bind(tmp_path, "/secret/below")], "linux.maskedPaths+": ["/secret"]}
    assert bundle.run("ls /secret/below 2>/dev/null || echo hidden", changes).out == "hidden\n"


def test_directories_are_covered_by_one_file_system(bundle: Bundle) -> None:
    """One superblock, however many paths: a container with hundreds of them costs no more."""
    for number in range(5):
        (bundle.rootfs / f"secret{number}").mkdir()
    paths = [f"/secret{number}" for number in range(5)]
    done = bundle.run("stat -c %d /secret*", {"linux.maskedPaths+": paths})
    assert len(done.lines) == 5
    assert len(set(done.lines)) == 1


@pytest.mark.parametrize("users", [False, True])
def test_read_only_paths_can_be_read_and_not_written(bundle: Bundle, tmp_path: Path, users: bool) -> None:
    """config-linux.md#readonly-paths: with what is mounted below, and its attributes stay."""
    (bundle.rootfs / "config").mkdir()
    (bundle.rootfs / "config/file").write_text("text")
    (bundle.rootfs / "single").write_text("text")
    changes = {
        "mounts+": [mount("/config/below", "tmpfs", "tmpfs", "nosuid", "noexec")],
        "linux.readonlyPaths+": ["/config", "/single", "/not/there"],
    }
    script = """
    cat /config/file /single
    for file in /config/file /config/below/new /single /proc/sys/kernel/hostname; do
        (echo x > $file) 2>/dev/null && echo $file
    done; true
    """
    assert bundle.run(script, changes, users=users).out == "texttext"
    table = bundle.mounts(changes, users=users)
    assert {"ro", "nosuid", "noexec"} <= table["/config/below"].options
    assert {"ro", "nosuid", "noexec", "nodev"} <= table["/proc/sys"].options


@pytest.mark.parametrize("name", ["maskedPaths", "readonlyPaths"])
def test_they_must_be_absolute(bundle: Bundle, name: str) -> None:
    """config-linux.md#masked-paths: the values MUST be absolute paths."""
    with pytest.raises(InvalidSpec, match=f"linux.{name}"):
        bundle.spec("true", {f"linux.{name}": ["relative"]})


@pytest.mark.parametrize("users", [False, True])
def test_sysctls_of_its_namespaces(bundle: Bundle, users: bool) -> None:
    """config-linux.md#sysctl: with dots or with slashes."""
    changes = {
        "linux.sysctl": {
            "net.ipv4.ip_forward": "1",
            "net/ipv4/ip_local_port_range": "20000 20010",
            "kernel.msgmax": "4096",
        }
    }
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/msgmax"
    assert bundle.run(script, changes, users=users).lines == ["1", "20000\t20010", "4096"]


def test_a_sysctl_that_is_not_there_is_named(bundle: Bundle) -> None:
    """runtime.md#errors"""
    with (
        pytest.raises(StepFailed, match="net/not/there"),
        bundle.created(changes={"linux.sysctl": {"net.not.there": "1"}}),
    ):
        pass


def test_a_value_that_the_kernel_refuses_is_named(bundle: Bundle) -> None:
    """runtime.md#errors"""
    with (
        pytest.raises(StepFailed, match=r"'many'.*ip_forward"),
        bundle.created(changes={"linux.sysctl": {"net.ipv4.ip_forward": "many"}}),
    ):
        pass


def test_cve_2025_52881_a_sysctl_is_not_written_to_what_covers_proc(bundle: Bundle, tmp_path: Path) -> None:
    """A file of a volume in the place of the kernel's takes nothing, and the kernel's is set."""
    (tmp_path / "ipv4").mkdir()
    fake = tmp_path / "ipv4/ip_forward"
    fake.write_text("fake")
    changes = {"mounts+": [bind(tmp_path, "/proc/sys/net")], "linux.sysctl": {"net.ipv4.ip_forward": "1"}}
    with bundle.created(changes=changes) as container:
        assert (Path(f"/proc/{container.pid}/root/proc/sys/net/ipv4/ip_forward")).read_text() == "fake"
        assert _forwarding(container.pid) == "1"
    assert fake.read_text() == "fake"


def test_cve_2025_52881_nor_where_proc_is_no_procfs_at_all(bundle: Bundle, tmp_path: Path) -> None:
    """The document has a volume at /proc itself."""
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    fake = tmp_path / "sys/net/ipv4/ip_forward"
    fake.write_text("fake")
    changes = {
        "mounts": [bind(tmp_path, "/proc"), mount("/dev", "tmpfs", "tmpfs", "mode=755")],
        "linux.sysctl": {"net.ipv4.ip_forward": "1"},
    }
    with bundle.created(changes=changes) as container:
        assert _forwarding(container.pid) == "1"
    assert fake.read_text() == "fake"


def _forwarding(pid: int) -> str:
    """As the network namespace of that process has it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            namespaces.setns(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY), CloneFlags.NEWNET)
            os.write(writer, Path("/proc/sys/net/ipv4/ip_forward").read_bytes())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        value = file.read().decode().strip()
    os.waitpid(child, 0)
    return value


def _cover_proc() -> None:
    """A tmpfs over parts of this process's own /proc, with files of the right names in it."""
    attr = f"/proc/{os.getpid()}/attr"
    for path in (attr, f"/proc/{os.getpid()}/task/{os.getpid()}/attr", "/proc/sys"):
        mounts.mount("tmpfs", path, "tmpfs", MountFlags(0), None)
        for name in ("current", "exec"):
            Path(path, name).write_text("fake")
    Path("/proc/sys/kernel").mkdir()
    Path("/proc/sys/kernel/ostype").write_text("fake")


def test_cve_2025_52881_a_private_handle_sees_through_what_is_mounted_over_proc() -> None:
    """Labels and parameters go to the kernel's files, and are read back from there."""

    def check() -> None:
        _cover_proc()
        assert Path("/proc/sys/kernel/ostype").read_text() == "fake"
        assert Path("/proc/self/attr/current").read_text() == "fake"
        with procfs.private() as proc_fd:
            assert procfs.read(proc_fd, "sys/kernel/ostype") == "Linux"
            procfs.write(proc_fd, "thread-self/comm", "renamed")
            assert procfs.read(proc_fd, "self/comm") == "renamed"
            for name in ("self/attr/current", "thread-self/attr/current"):
                assert _read_or_refused(proc_fd, name) != "fake"

    in_shared_mounts(check)


def test_cve_2025_52881_without_a_new_procfs_the_fallbacks_are_not_fooled_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a user namespace whose /proc is covered: first a copy without what covers it, then nothing through a mount."""

    def refuse() -> int:
        raise PermissionError(1, "Operation not permitted")

    def check() -> None:
        _cover_proc()
        monkeypatch.setattr(procfs, "_new", refuse)
        with procfs.private() as proc_fd:
            assert procfs.read(proc_fd, "sys/kernel/ostype") == "Linux"
        monkeypatch.setattr(procfs, "_uncovered", refuse)
        with procfs.private() as proc_fd:
            assert procfs.read(proc_fd, "self/comm")
            with pytest.raises(OSError, match="cross-device"):
                procfs.read(proc_fd, "sys/kernel/ostype")
        mounts.mount("tmpfs", "/proc", "tmpfs", MountFlags(0), None)
        with pytest.raises(OSError, match="not the kernel's procfs"), procfs.private():
            pass

    in_shared_mounts(check)


def test_cve_2019_16884_a_handle_follows_no_link_out_of_procfs() -> None:
    """Nor `..`, nor a magic link."""
    with procfs.private() as proc_fd:
        for path in ("../etc/passwd", "self/root/etc/passwd", "self/cwd", "self/fd/0", "mounts", "self/../../etc"):
            with pytest.raises(OSError, match=r"cross-device|symbolic"):
                os.close(procfs.open_file(proc_fd, path, os.O_RDONLY))


def _read_or_refused(proc_fd: int, path: str) -> str:
    try:
        return procfs.read(proc_fd, path)
    except OSError:
        return ""  # without an LSM the kernel's own file has nothing to read
