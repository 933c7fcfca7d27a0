"""A root that wants out: links, files and races where the runtime writes and mounts. Each test bears its CVE's name."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aethel_common.errors import AethelError, StepFailed
from aethel_common.linux import paths
from tests.harness import host
from tests.harness.bundle import Bundle, bind, child, mount

Snapshot = dict[str, tuple[int, ...]]


def snapshot(directory: Path) -> Snapshot:
    """All that is in a tree and could change."""
    found: Snapshot = {}
    for parent, names, files in os.walk(directory):
        for name in (".", *names, *files):
            status = os.lstat(os.path.join(parent, name))
            found[os.path.join(parent, name)] = (
                *(status.st_mode, status.st_ino, status.st_uid, status.st_gid, status.st_nlink, status.st_size),
                *(status.st_mtime_ns, status.st_ctime_ns),
            )
    return found


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A tree of the host which nothing of a container may change."""
    path = tmp_path / "canary"
    (path / "dir/sub").mkdir(parents=True)
    (path / "dev/pts").mkdir(parents=True)
    (path / "file").write_text("canary")
    before = snapshot(path)
    yield path
    assert snapshot(path) == before


def replace(path: Path, target: str | Path) -> None:
    """Have a link where the image had a directory or a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)


def ends_well(bundle: Bundle, changes: dict[str, Any], *, users: bool = False) -> bool:
    """Whether a container could be made; if not, init must have said why."""
    reason = ""
    try:
        with bundle.created(changes=changes, users=users):
            return True
    except AethelError as error:
        reason = str(error)
    assert "init died" not in reason, reason
    return False


@pytest.mark.parametrize("users", [False, True])
@pytest.mark.parametrize("name", ["proc", "sys"])
def test_cve_2019_19921_proc_and_sys_must_not_be_links(bundle: Bundle, canary: Path, name: str, users: bool) -> None:
    """Writes to /proc would go where the link leads."""
    for target in (canary / "dir", "/tmp", "tmp", "/"):
        replace(bundle.rootfs / name, target)
        with (
            pytest.raises(StepFailed, match=f"/{name} in the image is not a plain directory"),
            bundle.created(users=users),
        ):
            pass


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_cve_2019_19921_nor_files(bundle: Bundle, name: str) -> None:
    """The same."""
    (bundle.rootfs / name).rmdir()
    (bundle.rootfs / name).write_text("")
    with pytest.raises(StepFailed, match=f"/{name} in the image is not a plain directory"), bundle.created():
        pass


def test_cve_2023_27561_nor_links_into_a_volume(bundle: Bundle, canary: Path) -> None:
    """The volume is mounted first, and /proc of the image leads into it."""
    replace(bundle.rootfs / "proc", "/volume/dir")
    entries = [bind(canary, "/volume"), mount("/proc", "proc"), mount("/dev", "tmpfs", "tmpfs", "mode=755")]
    with pytest.raises(StepFailed, match="not a plain directory"), bundle.created(changes={"mounts": entries}):
        pass


@pytest.mark.parametrize("users", [False, True])
def test_cve_2026_41579_a_link_for_dev_stays_inside(bundle: Bundle, canary: Path, users: bool) -> None:
    """Devices and links are made in the file system that was mounted, wherever the link put it in the root."""
    for target in (canary / "dev", f"../../../../../../../..{canary}/dev", "/tmp/x"):
        replace(bundle.rootfs / "dev", target)
        done = bundle.run("test -c /dev/null && readlink /dev/fd && readlink /dev/ptmx", users=users)
        assert done.lines == ["/proc/self/fd", "pts/ptmx"]


def own_dev(bundle: Bundle) -> list[dict[str, Any]]:
    """Mounts with which the image's own /dev is used."""
    return [mount("/proc", "proc"), mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666")]


@pytest.mark.parametrize("users", [False, True])
def test_cve_2025_31133_a_null_device_of_the_image_masks_nothing(bundle: Bundle, canary: Path, users: bool) -> None:
    """A link in its place is refused, and what masks is the host's own device."""
    for target in ("/proc/sys/kernel/core_pattern", canary / "file"):
        replace(bundle.rootfs / "dev/null", target)
        with (
            pytest.raises(StepFailed, match="/dev/null in the container is not the device"),
            bundle.created(changes={"mounts": own_dev(bundle)}, users=users),
        ):
            pass
    done = bundle.run("stat -c '%F %t,%T' /proc/timer_list; cat /proc/timer_list | wc -c", users=users)
    assert done.lines == ["character special file 1,3", "0"]


@pytest.mark.parametrize("users", [False, True])
def test_cve_2025_52565_the_console_is_no_link(bundle: Bundle, canary: Path, users: bool) -> None:
    """Neither a link at /dev/console nor one at /dev/pts/0 is followed."""
    replace(bundle.rootfs / "dev/console", canary / "file")
    (bundle.rootfs / "dev/pts").mkdir()
    replace(bundle.rootfs / "dev/pts/0", canary / "file")
    changes = {"mounts": own_dev(bundle), "process.terminal": True}
    with pytest.raises(AethelError, match="/dev/console"), bundle.created(changes=changes, users=users):
        pass
    (bundle.rootfs / "dev/console").unlink()
    with bundle.created("stat -c %t /dev/console; sleep 0.1", changes, users=users) as container:
        container.start()
        assert container.console_fd is not None
        assert os.read(container.console_fd, 100).strip() == b"88"


def test_cve_2025_52565_a_terminal_multiplexer_of_the_image_is_not_opened(bundle: Bundle) -> None:
    """A FIFO at /dev/pts/ptmx would hang, a file would take the terminal's output."""
    (bundle.rootfs / "dev/pts").mkdir()
    os.mkfifo(bundle.rootfs / "dev/pts/ptmx")
    changes = {"mounts": [mount("/proc", "proc")], "process.terminal": True}
    with pytest.raises(StepFailed, match="not a devpts"), bundle.created(changes=changes):
        pass


def test_cve_2025_52565_nor_a_multiplexer_outside_devpts(bundle: Bundle) -> None:
    """The right number is not enough: its terminals would be those of whatever is mounted beside it."""
    (bundle.rootfs / "dev/pts").mkdir()
    os.mknod(bundle.rootfs / "dev/pts/ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    changes = {"mounts": [mount("/proc", "proc")], "process.terminal": True}
    with pytest.raises(StepFailed, match="not a devpts"), bundle.created(changes=changes):
        pass


@pytest.mark.parametrize("users", [False, True])
def test_cve_2024_45310_directories_are_not_made_through_links(bundle: Bundle, canary: Path, users: bool) -> None:
    """What a link of the image names is made in the image."""
    links = {"a": canary, "b": f"../../../../../../../..{canary}/dir", "c": "/..", "d": "d"}
    for name, target in links.items():
        (bundle.rootfs / name).symlink_to(target)
    entries = [mount("/a/new/dir"), mount("/b/new"), mount("/c/new"), bind(canary / "file", "/a/new.file")]
    done = bundle.run(
        f"cat {canary}/new.file; test -d /new && test -d {canary}/new/dir", {"mounts+": entries}, users=users
    )
    assert (done.out, done.status) == ("canary", 0)
    with (
        pytest.raises(StepFailed, match="symbolic links"),
        bundle.created(changes={"mounts+": [mount("/d/new")]}, users=users),
    ):
        pass


def test_cve_2024_45310_the_walk_itself(tmp_path: Path, canary: Path) -> None:
    """`..`, absolute and dangling links, directly on the functions that every step uses."""
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "up").symlink_to("../../..")
    (root / "absolute").symlink_to(canary)
    (root / "in/dangling").symlink_to("../made/./there")
    (root / "loop").symlink_to("loop/x")
    fd = os.open(root, os.O_PATH)
    try:
        for path, inside in {
            "up/x": "x",
            "absolute/y": f"{canary}/y"[1:],
            "../../z": "z",
            "in/dangling/w": "made/there/w",
            "/in/../v": "v",
        }.items():
            os.close(paths.make_directories(fd, path))
            assert (root / inside).is_dir(), path
        os.close(paths.make_file(fd, "absolute/file2"))
        assert (root / str(canary)[1:] / "file2").is_file()
        with pytest.raises(OSError, match="symbolic"):
            paths.make_directories(fd, "loop")
        with pytest.raises(OSError, match="symbolic"):
            paths.make_directories(fd, "up/x", links=False)
    finally:
        os.close(fd)


def test_cve_2021_30465_a_target_that_is_exchanged_all_the_time(bundle: Bundle, canary: Path, tmp_path: Path) -> None:
    """Another container flips a directory of a shared volume with a link to the host, while targets in it are mounted."""
    volume = tmp_path / "volume"
    (volume / "dir").mkdir(parents=True)
    (volume / "link").symlink_to(f"../../../../../../../..{canary}")

    def flip() -> None:
        while True:
            os.rename(volume / "dir", volume / "x")
            os.rename(volume / "x", volume / "dir")
            os.rename(volume / "link", volume / "x")
            os.unlink(volume / "x")
            os.symlink(f"../../../../../../../..{canary}", volume / "link")

    entries = [bind(volume, "/v")]
    for name in ("x", "dir", "link"):
        entries += [mount(f"/v/{name}/sub"), bind(canary / "file", f"/v/{name}/file"), mount(f"/v/{name}")]
    before = host.mounts_of(bundle.rootfs)
    made = 0
    with child(flip):
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            made += ends_well(bundle, {"mounts+": entries})
            assert host.mounts_of(bundle.rootfs) == before
    assert made, "the race was always lost, so nothing was tried"


@pytest.mark.parametrize("users", [False, True])
def test_cve_2024_21626_a_descriptor_is_no_working_directory(bundle: Bundle, users: bool) -> None:
    """WORKDIR=/proc/self/fd/N: refused, or at least inside."""
    reached = []
    for number in range(3, 65):
        try:
            done = bundle.run("pwd; ls ../../../../../../..", {"process.cwd": f"/proc/self/fd/{number}"}, users=users)
        except AethelError:
            continue
        assert "canary" not in done.out
        assert done.lines[0].startswith("/"), done.out
        reached.append(number)
    assert not reached


@pytest.mark.parametrize("users", [False, True])
def test_masked_and_read_only_paths_that_are_links_cover_what_is_inside(
    bundle: Bundle, canary: Path, users: bool
) -> None:
    """CVE-2025-31133's other half: the target too is found inside the root."""
    replace(bundle.rootfs / "masked", canary / "file")
    replace(bundle.rootfs / "readonly", canary / "dir")
    changes = {"linux.maskedPaths+": ["/masked"], "linux.readonlyPaths+": ["/readonly"]}
    assert bundle.run("echo fine", changes, users=users).out == "fine\n"


def test_a_device_under_a_link_is_made_inside(bundle: Bundle, canary: Path) -> None:
    """CVE-2026-41579's kin: linux.devices may be anywhere."""
    (bundle.rootfs / "link").symlink_to(canary)
    device = {"type": "c", "path": "/link/zero", "major": 1, "minor": 5}
    assert bundle.run(f"test -c {canary}/zero", {"linux.devices": [device]}).status == 0
    assert stat.S_ISCHR((bundle.rootfs / str(canary)[1:] / "zero").stat().st_mode)


# -- any root at all ------------------------------------------------------------------------------

PLACES = (
    *("proc", "sys", "dev", "dev/null", "dev/fd", "dev/ptmx", "dev/pts", "dev/shm", "dev/mqueue", "dev/console"),
    *("etc", "etc/hosts", "data", "data/sub", "data/sub/deep", "copy", "copy/file", "mask", "mask/in", "ro", "ro/in"),
    *("devices", "devices/zero"),
)
KINDS = st.sampled_from(["missing", "directory", "file", "empty", "fifo", "socket", "link"])
TARGETS = st.sampled_from(
    [
        *("/", "..", "../../../../../../..", ".", "nowhere/at/all", "/nowhere", "self", "/data", "/data/sub", "/dev"),
        *("/proc", "/proc/self/root", "/proc/1/root", "/proc/self/fd/3", "/proc/self/cwd", "/sys", "/etc/hosts"),
        *("CANARY", "CANARY/dir", "CANARY/file", "CANARY/new", "UP/CANARY/dir/sub", "/mask", "/copy", "/dev/null"),
    ]
)
SPOTS = st.fixed_dictionaries({}, optional={place: st.tuples(KINDS, TARGETS) for place in PLACES})


def plant(root: Path, spots: dict[str, tuple[str, str]], canary: Path) -> None:
    """Put things where the document will have its mounts; a place whose parent is no directory stays empty."""
    for place in PLACES:
        path = root / place
        if path.parent.is_symlink() or not path.parent.is_dir():
            continue
        kind, target = spots.get(place, ("directory", ""))
        match kind:
            case "directory":
                path.mkdir()
            case "file":
                path.write_text("text")
            case "empty":
                path.touch()
            case "fifo":
                os.mkfifo(path)
            case "socket":
                os.mknod(path, stat.S_IFSOCK | 0o600)
            case "link":
                path.symlink_to(target.replace("UP/", "../../../../../../..").replace("CANARY", str(canary)))


def hostile_document(source: Path, terminal: bool, own: bool) -> dict[str, Any]:
    """One with a mount, a mask, a device or a link at every place."""
    mounts = [
        mount("/copy", "tmpfs", "tmpfs", "tmpcopyup"),
        mount("/data/sub/deep"),
        bind(source / "file", "/etc/hosts"),
        bind(source, "/data/sub"),
        mount("/data", "tmpfs", "tmpfs", "silent", "ro"),
    ]
    devices = [
        {"type": "c", "path": "/devices/zero", "major": 1, "minor": 5},
        {"type": "p", "path": "/devices/pipe"},
    ]
    changes: dict[str, Any] = {
        "linux.maskedPaths+": ["/mask", "/mask/in", "/etc/hosts", "/devices"],
        "linux.readonlyPaths+": ["/ro", "/ro/in", "/data"],
        "linux.devices": devices,
        "linux.sysctl": {"net.ipv4.ip_forward": "1"},
        "process.terminal": terminal,
    }
    changes["mounts" if own else "mounts+"] = [*([mount("/proc", "proc")] if own else []), *mounts]
    return changes


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(spots=SPOTS, users=st.booleans(), terminal=st.booleans(), own=st.booleans())
def test_any_root_ends_in_success_or_a_clear_error_and_changes_nothing_outside(
    spots: dict[str, tuple[str, str]], users: bool, terminal: bool, own: bool
) -> None:
    """Links, FIFOs, sockets and files at every place where something is mounted, masked or made."""
    directory = Path(tempfile.mkdtemp(prefix="aethel-hostile-"))
    try:
        canary = directory / "canary"
        (canary / "dir/sub").mkdir(parents=True)
        (canary / "file").write_text("canary")
        source = directory / "source"
        source.mkdir()
        (source / "file").write_text("")
        bundle = Bundle(directory / "bundle")
        for name in ("dev", "etc", "proc", "sys"):
            (bundle.rootfs / name).rmdir()
        plant(bundle.rootfs, spots, canary)
        before, mounts_before, dev = snapshot(canary), host.mounts_of(directory), sorted(os.listdir("/dev"))
        ends_well(bundle, hostile_document(source, terminal, own), users=users)
        assert snapshot(canary) == before
        assert host.mounts_of(directory) == mounts_before
        assert sorted(os.listdir("/dev")) == dev
    finally:
        shutil.rmtree(directory)
