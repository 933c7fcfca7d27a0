"""`root` of config.json and linux.rootfsPropagation: config.md#root, config-linux.md#rootfs-mount-propagation."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aethel_common.errors import InvalidSpec, StepFailed
from aethel_common.linux import mounts, namespaces
from aethel_common.linux.mounts import MountFlags
from aethel_common.linux.namespaces import CloneFlags
from tests.harness.bundle import Bundle, bind, child, in_shared_mounts, mount

SYS_ADMIN = {f"process.capabilities.{kind}": ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}


def heard(bundle: Bundle, propagation: str, at: str = "mnt") -> tuple[bool, bool]:
    """Whether a mount of the host under the root's `at` is seen inside, and one of the inside by the host."""
    (bundle.rootfs / at / "host").mkdir(parents=True, exist_ok=True)
    (bundle.rootfs / at / "inside").mkdir(exist_ok=True)
    reader, writer = os.pipe()
    script = f"mount -t tmpfs none /{at}/inside; echo; sleep 60"
    changes = {**SYS_ADMIN, **({"linux.rootfsPropagation": propagation} if propagation else {})}
    host_path = str(bundle.rootfs / at / "host")
    with bundle.created(script, changes, stdout=writer) as container:
        os.close(writer)
        container.start()
        assert os.read(reader, 1) == b"\n"
        os.close(reader)
        mounts.mount("tmpfs", host_path, "tmpfs", MountFlags(0), None)
        inside = Path(f"/proc/{container.pid}/mountinfo").read_text()
        outside = Path("/proc/self/mountinfo").read_text()
        mounts.umount2(host_path, mounts.UmountFlags.DETACH)
        assert f" /{at}/inside " in inside
        return f" /{at}/host " in inside, f"/{at}/inside " in outside


@pytest.mark.parametrize(
    ("propagation", "hears"),
    [
        ("", True),
        ("slave", True),
        ("rslave", True),
        ("private", False),
        ("rprivate", False),
        ("shared", False),
        ("rshared", False),
        ("unbindable", False),
        ("runbindable", False),
    ],
)
def test_who_hears_of_mounts_in_the_root(bundle: Bundle, propagation: str, hears: bool) -> None:
    """Slave receives events from the host, private does not; and whatever it is, the host hears of none of ours."""

    def check() -> None:
        assert heard(bundle, propagation) == (hears, False)

    in_shared_mounts(check)


def test_nothing_of_a_container_shows_up_in_its_bundle(bundle: Bundle) -> None:
    """On a host with a shared root (systemd) each mount in the rootfs would else appear there."""

    def check() -> None:
        before = Path("/proc/self/mountinfo").read_text()
        with bundle.created():
            assert Path("/proc/self/mountinfo").read_text() == before
        assert Path("/proc/self/mountinfo").read_text() == before

    in_shared_mounts(check)


@pytest.mark.parametrize(
    ("propagation", "tags"),
    [
        ("shared", {"shared"}),
        ("rshared", {"shared"}),
        ("private", set()),
        ("rprivate", set()),
        ("slave", set()),
        ("rslave", set()),
        ("unbindable", {"unbindable"}),
        ("runbindable", {"unbindable"}),
    ],
)
@pytest.mark.parametrize("users", [False, True])
def test_the_root_is_of_that_kind(bundle: Bundle, propagation: str, tags: set[str], users: bool) -> None:
    """Its value is either shared, slave, private or unbindable, or a recursive one."""
    table = bundle.mounts({"linux.rootfsPropagation": propagation}, users=users)
    assert table["/"].tags == tags


def test_recursively_unbindable_is_all_of_it(bundle: Bundle) -> None:
    """runbindable"""
    table = bundle.mounts({"linux.rootfsPropagation": "runbindable"})
    assert all("unbindable" in line.tags for line in table.values())


def test_in_a_shared_root_mounts_are_shared_unless_they_say_otherwise(bundle: Bundle, tmp_path: Path) -> None:
    """Further mounts will also belong to that peer group, and a mount's own words come first."""
    entries = [mount("/plain"), mount("/own", "tmpfs", "tmpfs", "private"), bind(tmp_path, "/bound")]
    table = bundle.mounts({"linux.rootfsPropagation": "shared", "mounts+": entries})
    assert table["/plain"].tags == table["/bound"].tags == {"shared"}
    assert table["/own"].tags == set()


@pytest.mark.parametrize(("propagation", "reaches"), [("shared", True), ("private", False), ("", False)])
def test_mounts_of_a_nested_container_reach_a_shared_root(bundle: Bundle, propagation: str, reaches: bool) -> None:
    """shared: further mounts (e.g. nested containers) will propagate events to the rootfs; private: they will not."""
    (bundle.rootfs / "nested").mkdir()
    changes = {"linux.rootfsPropagation": propagation} if propagation else {}
    with bundle.created(changes=changes) as container:

        def nest() -> None:
            """What a runtime in the container would do first."""
            fd = os.open(f"/proc/{container.pid}/ns/mnt", os.O_RDONLY)
            namespaces.setns(fd, CloneFlags.NEWNS)
            namespaces.unshare(CloneFlags.NEWNS)
            mounts.mount("tmpfs", "/nested", "tmpfs", MountFlags(0), None)
            os.write(writer, b"done")
            time.sleep(60)

        reader, writer = os.pipe()
        with child(nest):
            assert os.read(reader, 4) == b"done"
            inside = Path(f"/proc/{container.pid}/mountinfo").read_text()
        os.close(reader)
        os.close(writer)
    assert (" /nested " in inside) is reaches


def test_shared_binds_of_a_shared_root_reach_the_host(bundle: Bundle, tmp_path: Path) -> None:
    """mounts: rshared, with rootfsPropagation shared: mounts go both ways, as callers' "bidirectional" wants."""
    (tmp_path / "volume/inside").mkdir(parents=True)

    def propagates(**changes: str) -> bool:
        reader, writer = os.pipe()
        entry = bind(tmp_path / "volume", "/x", "rshared")
        script = "mount -t tmpfs none /x/inside; echo; sleep 60"
        with bundle.created(script, {**SYS_ADMIN, "mounts+": [entry], **changes}, stdout=writer) as container:
            os.close(writer)
            container.start()
            assert os.read(reader, 1) == b"\n"
            os.close(reader)
            seen = "volume/inside" in Path("/proc/self/mountinfo").read_text()
        if seen:
            mounts.umount2(str(tmp_path / "volume/inside"), mounts.UmountFlags.DETACH)
        return seen

    def check() -> None:
        assert propagates(**{"linux.rootfsPropagation": "rshared"})
        assert not propagates()

    in_shared_mounts(check)


def test_another_word_is_refused(bundle: Bundle) -> None:
    """runtime.md#errors"""
    with pytest.raises(InvalidSpec, match="rootfsPropagation"):
        bundle.spec("true", {"linux.rootfsPropagation": "public"})


@pytest.mark.parametrize("users", [False, True])
def test_a_read_only_root(bundle: Bundle, users: bool) -> None:
    """config.md#root: readonly: the root file system MUST be read-only inside the container."""
    script = "touch /file 2>/dev/null && echo written; touch /dev/shm/file && echo shm"
    done = bundle.run(script, {"root.readonly": True}, users=users)
    assert done.out == "shm\n"
    assert not (bundle.rootfs / "file").exists()


def mounted(bundle: Bundle, prepare: Callable[[Path], None], check: Callable[[], None]) -> None:
    """Have something else mounted at the bundle's rootfs, in a child."""

    def work() -> None:
        prepare(bundle.rootfs)
        check()

    in_shared_mounts(work)


def test_a_root_on_tmpfs(bundle: Bundle) -> None:
    """config.md#root: path is a directory, on whatever file system."""
    copy = bundle.path / "copy"
    shutil.copytree(bundle.rootfs, copy, symlinks=True)

    def prepare(rootfs: Path) -> None:
        mounts.mount("tmpfs", str(rootfs), "tmpfs", MountFlags(0), None)
        shutil.copytree(copy, rootfs, symlinks=True, dirs_exist_ok=True)

    def check() -> None:
        assert bundle.mounts()["/"].kind == "tmpfs"
        assert bundle.run("touch /new && ls /new", users=True).out == "/new\n"

    mounted(bundle, prepare, check)


@pytest.mark.parametrize("users", [False, True])
def test_a_root_on_overlay(bundle: Bundle, users: bool) -> None:
    """config.md#root: path is a directory, on whatever file system."""
    if users:
        bundle.own()
    for name in ("upper", "work"):
        (bundle.path / name).mkdir()
        shutil.chown(bundle.path / name, bundle.rootfs.stat().st_uid)

    def prepare(rootfs: Path) -> None:
        options = f"lowerdir={rootfs},upperdir={bundle.path}/upper,workdir={bundle.path}/work"
        mounts.mount("overlay", str(rootfs), "overlay", MountFlags(0), options)

    def check() -> None:
        assert bundle.mounts(users=users, script="touch /new")["/"].kind == "overlay"

    mounted(bundle, prepare, check)
    assert (bundle.path / "upper/new").exists()
    assert not (bundle.rootfs / "new").exists()


def test_a_root_on_a_read_only_file_system(bundle: Bundle) -> None:
    """All that is needed is in the image: nothing has to be written."""
    for name in ("sys/fs/cgroup", "dev/mqueue"):
        (bundle.rootfs / name).mkdir(parents=True)

    def prepare(rootfs: Path) -> None:
        mounts.mount(str(rootfs), str(rootfs), None, MountFlags.BIND, None)
        flags = MountFlags.BIND | MountFlags.REMOUNT | MountFlags.RDONLY
        mounts.mount(None, str(rootfs), None, flags, None)

    def check() -> None:
        assert "ro" in bundle.mounts()["/"].options
        with (
            pytest.raises(StepFailed, match=r"mounts\[7\].*missing.*read-only.*/not/there"),
            bundle.created(changes={"mounts+": [mount("/not/there")]}),
        ):
            pass
        with (
            pytest.raises(StepFailed, match=r"/extra/null.*"),
            bundle.created(changes={"linux.devices": [{"type": "c", "path": "/extra/null", "major": 1, "minor": 3}]}),
        ):
            pass

    mounted(bundle, prepare, check)


def test_what_is_mounted_in_the_root_on_the_host_comes_along(bundle: Bundle) -> None:
    """config.md#root: the directory with what is mounted in it."""
    (bundle.rootfs / "data").mkdir()

    def prepare(rootfs: Path) -> None:
        mounts.mount("tmpfs", str(rootfs / "data"), "tmpfs", MountFlags(0), None)
        (rootfs / "data/file").write_text("text")

    def check() -> None:
        assert bundle.run("cat /data/file").out == "text"

    mounted(bundle, prepare, check)


def test_the_old_root_is_gone(bundle: Bundle) -> None:
    """config.md#root: pivot_root, and nothing of the host stays mounted."""
    points = bundle.mounts()
    assert min(points) == "/"
    known = ("/proc", "/dev", "/sys")
    assert [point for point in points if point != "/" and not point.startswith(known)] == []
    assert bundle.run("ls /..").out == bundle.run("ls /").out


def test_an_image_with_nothing_but_a_program_works(bundle: Bundle) -> None:
    """Every directory that a mount needs is made."""
    for name in ("dev", "etc", "proc", "root", "sys", "tmp", "var"):
        (bundle.rootfs / name).rmdir()
    assert bundle.run("test -c /dev/null && test -d /proc/self").status == 0


def test_the_host_has_busybox_as_the_tests_need_it() -> None:
    """Static: nothing else is in the root."""
    assert subprocess.run(["/bin/busybox", "true"], env={}, check=False).returncode == 0
