"""The mounts of the document, each made as a detached mount and then put into its place by descriptor.

No path of the container is resolved by string: targets are opened inside the root (openat2 RESOLVE_IN_ROOT), so that a
link in the image leads nowhere but into the image (CVE-2021-30465).
"""

from __future__ import annotations

import os
import stat

from aethel_common.errors import InvalidSpec
from aethel_common.linux import mounts, paths
from aethel_common.linux.mounts import FsConfig, MoveMount
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec.mounts import Meaning, Mount, meaning

_KERNEL_VIEWS = {"proc": "/proc", "sysfs": "/sys"}


@step(man="fsopen(2) fsmount(2) move_mount(2) proc(5)")
def mount_filesystems(init: Init) -> None:
    """Mount /proc, /dev, /sys and whatever else the document lists, in its order."""
    for index, mount in enumerate(init.spec.mounts):
        source_fd = init.sources.get(index)
        if source_fd is not None:
            _place_bind(init.rootfs_fd, mount, source_fd)
        else:
            _place_new(init.rootfs_fd, mount)


def _place_bind(root_fd: int, mount: Mount, source_fd: int) -> None:
    is_directory = stat.S_ISDIR(os.fstat(source_fd).st_mode)
    make = paths.make_directories if is_directory else paths.make_file
    _place(source_fd, make(root_fd, mount.destination))


def _place_new(root_fd: int, mount: Mount) -> None:
    words = meaning(mount)
    target_fd = _directory(root_fd, mount)
    mount_fd = _make(mount, words)
    try:
        if words.propagation:
            flags = mounts.AT_EMPTY_PATH | (mounts.AT_RECURSIVE if words.propagation_recursive else 0)
            mounts.mount_setattr(mount_fd, "", flags, propagation=words.propagation)
    except BaseException:
        os.close(target_fd)
        os.close(mount_fd)
        raise
    _place(mount_fd, target_fd)


def _directory(root_fd: int, mount: Mount) -> int:
    """The target; proc and sysfs only where the image has a real directory (CVE-2019-19921)."""
    if mount.type in _KERNEL_VIEWS:
        name = mount.destination.strip("/")
        try:
            mode = os.stat(name, dir_fd=root_fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            mode = stat.S_IFDIR
        if not stat.S_ISDIR(mode):
            raise InvalidSpec(f"{mount.destination} in the image is not a directory, so {mount.type} cannot be there")
    return paths.make_directories(root_fd, mount.destination)


def _make(mount: Mount, words: Meaning) -> int:
    fs_type = "cgroup2" if mount.type == "cgroup" else mount.type
    fs_fd = mounts.fsopen(fs_type)
    try:
        if mount.source:
            mounts.fsconfig(fs_fd, FsConfig.SET_STRING, "source", mount.source)
        for key, value in words.data:
            command = FsConfig.SET_FLAG if value is None else FsConfig.SET_STRING
            mounts.fsconfig(fs_fd, command, key, value)
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        return mounts.fsmount(fs_fd, words.attr_set | words.recursive_set)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} for {fs_type}", mount.destination) from error
    finally:
        os.close(fs_fd)


def _place(mount_fd: int, target_fd: int) -> None:
    """Owns both descriptors."""
    try:
        mounts.move_mount(mount_fd, "", target_fd, "", MoveMount.F_EMPTY_PATH | MoveMount.T_EMPTY_PATH)
    finally:
        os.close(mount_fd)
        os.close(target_fd)
