"""The mounts of the document, each made as a detached mount and then put into its place by descriptor.

No path of the container is resolved by string: targets are opened inside the root (openat2 RESOLVE_IN_ROOT), so that a
link in the image leads nowhere but into the image (CVE-2021-30465).
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux import mounts, paths
from aethel_common.linux.mounts import FsConfig, MountFlags, MoveMount
from aethel_common.linux.paths import Resolve
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec.mounts import Meaning, Mount, meaning

_KERNEL_VIEWS: Final = frozenset({"proc", "sysfs"})
_NO_LINKS: Final = Resolve.IN_ROOT | Resolve.NO_SYMLINKS


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
    try:
        mount_fd = _make(mount, words)
    except BaseException:
        os.close(target_fd)
        raise
    _place(mount_fd, target_fd)


def _directory(root_fd: int, mount: Mount) -> int:
    """The target; for proc and sysfs only a real directory: later steps write there (CVE-2019-19921, CVE-2023-27561)."""
    if mount.type in _KERNEL_VIEWS:
        try:
            os.close(paths.openat2(root_fd, mount.destination, os.O_PATH | os.O_DIRECTORY, resolve=_NO_LINKS))
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            why = f"it is not a directory in the image, and {mount.type} goes nowhere else"
            raise InvalidSpec(f"mounts: {mount.destination}: {why}") from error
    return paths.make_directories(root_fd, mount.destination)


def _make(mount: Mount, words: Meaning) -> int:
    fs_type = "cgroup2" if mount.type == "cgroup" else mount.type
    try:
        fs_fd = mounts.fsopen(fs_type)
        try:
            if mount.source:
                mounts.fsconfig(fs_fd, FsConfig.SET_STRING, "source", mount.source)
            for key, value in words.filesystem:
                command = FsConfig.SET_FLAG if value is None else FsConfig.SET_STRING
                mounts.fsconfig(fs_fd, command, key, value)
            mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
            mount_fd = mounts.fsmount(fs_fd, words.own.set | words.recursive.set)
        finally:
            os.close(fs_fd)
    except OSError as error:
        option = f" ({error.filename})" if error.filename not in (None, fs_type) else ""
        raise OSError(error.errno, f"{error.strerror}: {fs_type}{option}", mount.destination) from error
    if words.propagation is not MountFlags.PRIVATE:
        scope = mounts.AT_EMPTY_PATH | (mounts.AT_RECURSIVE if words.propagation_recursive else 0)
        mounts.mount_setattr(mount_fd, "", scope, propagation=words.propagation)
    return mount_fd


def _place(mount_fd: int, target_fd: int) -> None:
    """Owns both descriptors."""
    try:
        mounts.move_mount(mount_fd, "", target_fd, "", MoveMount.F_EMPTY_PATH | MoveMount.T_EMPTY_PATH)
    finally:
        os.close(mount_fd)
        os.close(target_fd)
