"""The sources of bind mounts, opened by the parent: init may not walk through the host's private directories.

Each is a detached copy of the mount with its options applied and, in a user namespace, idmapped, so that ownership looks
inside as it does on the host.
"""

from __future__ import annotations

import errno
import os

from aethel_common.errors import NotFound, Unsupported
from aethel_common.linux import mounts
from aethel_common.linux.mounts import MountAttr, OpenTree
from aethel_run.spec.mounts import Meaning, Mount, meaning

_KERNEL_VIEWS = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "securityfs", "debugfs"})
"""File systems that show the kernel: they cannot be idmapped, and whom they belong to means nothing inside."""


def open_source(mount: Mount, userns_fd: int | None) -> int:
    """A detached mount of the source; the caller's. Raises NotFound, Unsupported (cannot be idmapped), OSError."""
    words = meaning(mount)
    flags = OpenTree.CLONE | OpenTree.CLOEXEC | (OpenTree.RECURSIVE if words.recursive else OpenTree(0))
    try:
        fd = mounts.open_tree(mounts.AT_FDCWD, mount.source, flags)
    except FileNotFoundError:
        raise NotFound(f"bind source {mount.source} does not exist") from None
    try:
        _apply(fd, mount, words, userns_fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _apply(fd: int, mount: Mount, words: Meaning, userns_fd: int | None) -> None:
    everything = mounts.AT_EMPTY_PATH | mounts.AT_RECURSIVE
    if words.recursive_set or words.recursive_clr:
        mounts.mount_setattr(fd, "", everything, attr_set=words.recursive_set, attr_clr=words.recursive_clr)
    if words.attr_set or words.attr_clr:
        mounts.mount_setattr(fd, "", mounts.AT_EMPTY_PATH, attr_set=words.attr_set, attr_clr=words.attr_clr)
    if words.propagation:
        scope = everything if words.propagation_recursive else mounts.AT_EMPTY_PATH
        mounts.mount_setattr(fd, "", scope, propagation=words.propagation)
    if userns_fd is not None:
        _idmap(fd, mount, words, userns_fd)


def _idmap(fd: int, mount: Mount, words: Meaning, userns_fd: int) -> None:
    scope = mounts.AT_EMPTY_PATH | (mounts.AT_RECURSIVE if words.recursive else 0)
    try:
        mounts.mount_setattr(fd, "", scope, attr_set=MountAttr.IDMAP, userns_fd=userns_fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        fs_type = file_system(mount.source)
        if fs_type not in _KERNEL_VIEWS:
            raise Unsupported(
                f"{mount.source} is on {fs_type}, which cannot be idmapped",
                hint="`--userns host` runs it without a user namespace",
            ) from error


def file_system(path: str) -> str:
    """The type of the file system that holds `path`. man 5 proc (mountinfo)"""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if left.split()[2] == wanted:
                return right.split()[0]
    return "an unknown file system"
