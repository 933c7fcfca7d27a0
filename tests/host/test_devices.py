"""linux.devices and the default devices: config-linux.md#devices, runtime-linux.md#dev-symbolic-links."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from aethel_common.errors import InvalidSpec, StepFailed
from aethel_common.linux import mounts
from aethel_common.linux.mounts import MountFlags
from tests.harness import host
from tests.harness.bundle import Bundle, bind, in_shared_mounts

DEFAULTS = {
    "null": "1,3",
    "zero": "1,5",
    "full": "1,7",
    "random": "1,8",
    "urandom": "1,9",
    "tty": "5,0",
}
KMSG = {"type": "c", "path": "/dev/mine", "major": 1, "minor": 11}
"""A device that every host has, and no container by default."""


def own_dev(bundle: Bundle) -> dict[str, Any]:
    """The default mounts without those at /dev and below: the image's own directory is used."""
    entries = [
        {"destination": each.destination, "type": each.type, "source": each.source, "options": list(each.options)}
        for each in bundle.spec("true").mounts
        if not each.destination.startswith("/dev")
    ]
    return {"mounts": entries}


def block_device() -> tuple[int, int]:
    """The number of one that this host has a node of."""
    for name in sorted(os.listdir("/sys/class/block")):
        path = Path("/dev", name)
        if path.is_block_device():
            return os.major(path.stat().st_rdev), os.minor(path.stat().st_rdev)
    pytest.skip("this host has no block device")


def see(path: str) -> str:
    return f"stat -c '%F %t,%T %a %u:%g' {path}"


@pytest.mark.parametrize("users", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_the_default_devices_are_there(bundle: Bundle, users: bool, own: bool) -> None:
    """config-linux.md#default-devices: the runtime MUST also supply them; on a tmpfs or in the image's /dev."""
    script = "cd /dev; for name in " + " ".join(DEFAULTS) + "; do stat -c '%n %F %t,%T' $name; done"
    script += (
        "; head -c3 zero | od -An -tx1; echo x > null && head -c1 urandom | wc -c; echo x 2>/dev/null > full || echo no"
    )
    done = bundle.run(script, own_dev(bundle) if own else {}, users=users)
    expected = [f"{name} character special file {number}" for name, number in DEFAULTS.items()]
    assert done.lines[:6] == expected
    assert [line.strip() for line in done.lines[6:]] == ["00 00 00", "1", "no"]


@pytest.mark.parametrize("users", [False, True])
def test_a_second_run_of_the_same_root_finds_them_again(bundle: Bundle, users: bool) -> None:
    """What an earlier run left in the image's own /dev is no mismatch."""
    changes = {**own_dev(bundle), "linux.devices": [{**KMSG, "path": "/data/mine"}]}
    for _ in range(2):
        assert bundle.run("test -c /dev/null && test -c /data/mine", changes, users=users).status == 0


def test_a_device_has_the_mode_and_owner_of_the_document(bundle: Bundle) -> None:
    """config-linux.md#devices: fileMode (decimal), uid, gid; whatever the umask."""
    devices = [{**KMSG, "fileMode": 0o640, "uid": 7, "gid": 8}, {**KMSG, "path": "/deep/er/mine"}]
    old = os.umask(0o077)
    try:
        done = bundle.run(f"{see('/dev/mine')}; {see('/deep/er/mine')}", {"linux.devices": devices})
    finally:
        os.umask(old)
    assert done.lines == ["character special file 1,b 640 7:8", "character special file 1,b 666 0:0"]


@pytest.mark.parametrize("users", [False, True])
@pytest.mark.parametrize(
    ("kind", "seen"), [("c", "character special file"), ("u", "character special file"), ("b", "block special file")]
)
def test_every_type_of_device(bundle: Bundle, users: bool, kind: str, seen: str) -> None:
    """config-linux.md#devices: c, u and b; in a user namespace the host's node is bound, whatever its name here."""
    number = block_device() if kind == "b" else (1, 5)
    device = {"type": kind, "path": "/dev/mine", "major": number[0], "minor": number[1]}
    done = bundle.run("stat -c '%F %t,%T' /dev/mine", {"linux.devices": [device]}, users=users)
    assert done.out == f"{seen} {number[0]:x},{number[1]:x}\n"


@pytest.mark.parametrize("users", [False, True])
def test_a_fifo_needs_no_numbers(bundle: Bundle, users: bool) -> None:
    """config-linux.md#devices: major and minor are REQUIRED unless type is p."""
    device = {"type": "p", "path": "/dev/pipe", "fileMode": 0o600, "uid": 5, "gid": 6}
    done = bundle.run("stat -c '%F %a %u:%g' /dev/pipe", {"linux.devices": [device]}, users=users)
    assert done.out == "fifo 600 5:6\n"


@pytest.mark.parametrize("users", [False, True])
def test_a_node_that_is_there_and_matches_is_kept(bundle: Bundle, users: bool) -> None:
    """config-linux.md#devices: only one that does not match is an error."""
    os.mknod(bundle.rootfs / "mine", stat.S_IFCHR | 0o604, os.makedev(1, 5))
    (bundle.rootfs / "mine").chmod(0o604)
    device = {"type": "c", "path": "/mine", "major": 1, "minor": 5}
    assert bundle.run("stat -c %a /mine", {"linux.devices": [device]}, users=users).out == "604\n"


@pytest.mark.parametrize("users", [False, True])
@pytest.mark.parametrize("what", ["file", "empty", "directory", "link", "other number", "other type", "fifo"])
def test_a_file_that_does_not_match_is_an_error(bundle: Bundle, what: str, users: bool) -> None:
    """config-linux.md#devices: if a file already exists at path that does not match, the runtime MUST generate an error."""
    path = bundle.rootfs / "mine"
    match what:
        case "file":
            path.write_text("content")
        case "empty":
            path.write_text("")
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("/dev/zero")
        case "other number":
            os.mknod(path, stat.S_IFCHR, os.makedev(1, 3))
        case "other type":
            os.mknod(path, stat.S_IFBLK, os.makedev(1, 5))
        case _:
            os.mkfifo(path)
    device = {"type": "c", "path": "/mine", "major": 1, "minor": 5}
    with (
        pytest.raises(StepFailed, match=r"/mine in the container is not the device c 1:5"),
        bundle.created(changes={"linux.devices": [device]}, users=users),
    ):
        pass


def test_a_device_that_the_host_lacks_is_named(bundle: Bundle) -> None:
    """runtime.md#errors: in a user namespace, where only the host's can be bound."""
    device = {"type": "c", "path": "/dev/mine", "major": 4000, "minor": 77}
    with (
        pytest.raises(StepFailed, match=r"/dev/mine: the host has no device c 4000:77"),
        bundle.created(changes={"linux.devices": [device]}, users=True),
    ):
        pass


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ({"type": "c", "path": "relative", "major": 1, "minor": 5}, "not absolute"),
        ({"type": "c", "path": "/dev/", "major": 1, "minor": 5}, "does not name a file"),
        ({"type": "c", "path": "/dev/x", "major": -1, "minor": 5}, "not a device"),
        ({"type": "c", "path": "/dev/x", "major": 4096, "minor": 5}, "not a device"),
        ({"type": "d", "path": "/dev/x", "major": 1, "minor": 5}, "devices"),
        ({"type": "c", "major": 1, "minor": 5}, "path"),
    ],
)
def test_what_is_no_device_is_refused(bundle: Bundle, device: dict[str, Any], words: str) -> None:
    """config-linux.md#devices: required fields."""
    with pytest.raises(InvalidSpec, match=words):
        bundle.spec("true", {"linux.devices": [device]})


def test_a_default_device_may_be_listed(bundle: Bundle) -> None:
    """config-linux.md#devices: then its mode and owner are the document's."""
    device = {"type": "c", "path": "/dev/null", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 9}
    assert bundle.run("stat -c '%a %u' /dev/null", {"linux.devices": [device]}).out == "600 9\n"


def test_the_links_of_dev(bundle: Bundle) -> None:
    """runtime-linux.md#dev-symbolic-links: MUST be created if the source exists after processing mounts."""
    script = "cd /dev; for name in fd stdin stdout stderr ptmx; do readlink $name; done"
    expected = ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"]
    assert bundle.run(script).lines == [*expected, "pts/ptmx"]
    assert bundle.run(script, own_dev(bundle)).lines == expected


def test_without_proc_there_are_no_links_into_it(bundle: Bundle) -> None:
    """runtime-linux.md#dev-symbolic-links: if the source file exists."""
    entries = [each for each in own_dev(bundle)["mounts"] if each["destination"] != "/proc"]
    assert bundle.run("ls -a /dev", {"mounts": entries}).lines == [".", "..", *sorted(DEFAULTS)]


def test_a_ptmx_of_the_image_gives_way(bundle: Bundle) -> None:
    """config-linux.md#default-devices: ptmx is a bind-mount or symlink of the container's /dev/pts/ptmx."""
    os.mknod(bundle.rootfs / "dev/ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    devpts = [
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}
    ]
    changes = {"mounts": own_dev(bundle)["mounts"] + devpts}
    assert bundle.run("readlink /dev/ptmx", changes).out == "pts/ptmx\n"


def test_a_dev_that_is_bound_in_is_left_as_it_is(bundle: Bundle, tmp_path: Path) -> None:
    """The caller's own /dev: nothing but the links that are missing is made in it."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/fd").symlink_to("elsewhere")
    entries = [*own_dev(bundle)["mounts"], bind(tmp_path / "dev", "/dev")]
    bundle.run("true", {"mounts": entries})
    assert sorted(os.listdir(tmp_path / "dev")) == ["fd", "stderr", "stdin", "stdout"]
    assert os.readlink(tmp_path / "dev/fd") == "elsewhere"


def test_the_hosts_dev_bound_in_works_and_stays_the_same(bundle: Bundle) -> None:
    """As `-v /dev:/dev` of other callers has it."""
    before, points = set(os.listdir("/dev")), host.mounts_of(Path("/dev"))
    entries = [*own_dev(bundle)["mounts"], bind("/dev", "/dev")]
    assert bundle.run("test -c /dev/null && test -c /dev/zero", {"mounts": entries}).status == 0
    made = set(os.listdir("/dev")) - before
    for name in made:
        os.unlink(f"/dev/{name}")
    assert made <= {"fd", "stdin", "stdout", "stderr"}
    assert host.mounts_of(Path("/dev")) == points


def test_a_read_only_dev_bound_in_is_no_error(bundle: Bundle, tmp_path: Path) -> None:
    """Links that are missing there cannot be made, and nobody asked for them."""
    (tmp_path / "dev").mkdir()
    entries = [*own_dev(bundle)["mounts"], bind(tmp_path / "dev", "/dev", "ro")]
    assert bundle.run("echo fine", {"mounts": entries}).out == "fine\n"


def test_on_a_root_without_dev_that_cannot_be_written_the_error_says_so(bundle: Bundle) -> None:
    """config-linux.md#default-devices: they are a MUST."""
    changes = own_dev(bundle)

    def check() -> None:
        mounts.mount(str(bundle.rootfs), str(bundle.rootfs), None, MountFlags.BIND, None)
        flags = MountFlags.BIND | MountFlags.REMOUNT | MountFlags.RDONLY
        mounts.mount(None, str(bundle.rootfs), None, flags, None)
        with pytest.raises(StepFailed, match=r"read-only.*/dev/null"), bundle.created(changes=changes):
            pass

    in_shared_mounts(check)


@pytest.mark.parametrize("users", [False, True])
def test_a_terminal_becomes_the_console(bundle: Bundle, users: bool) -> None:
    """config-linux.md#default-devices: /dev/console is set up by bind mounting the pseudoterminal pty."""
    script = "stat -c %t,%T /dev/console /dev/pts/0; test -t 0 && echo hello > /dev/console; sleep 0.2"
    with bundle.created(script, {"process.terminal": True}, users=users) as container:
        assert container.console_fd is not None
        container.start()
        output = b""
        while b"hello" not in output:
            output += os.read(container.console_fd, 1000)
    assert output.split() == [b"88,0", b"88,0", b"hello"]


def test_a_terminal_needs_a_devpts(bundle: Bundle) -> None:
    """runtime.md#errors"""
    with (
        pytest.raises(StepFailed, match="no devpts"),
        bundle.created(changes={**own_dev(bundle), "process.terminal": True}),
    ):
        pass


def test_many_devices_leave_no_descriptor_behind(bundle: Bundle) -> None:
    """In the parent; the container's are closed by execve."""
    before = len(os.listdir("/proc/self/fd"))
    devices = [{"type": "c", "path": f"/dev/zero{n}", "major": 1, "minor": 5} for n in range(50)]
    assert bundle.run("ls /dev | grep -c zero", {"linux.devices": devices}, users=True).out == "51\n"
    assert len(os.listdir("/proc/self/fd")) == before, sys.platform
