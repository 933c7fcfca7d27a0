"""/proc through a private handle: what is written goes to the kernel's file of that name, or nowhere.

What a container has at /proc may be a link, a tmpfs, or a real procfs with other files mounted over its own; a label
or a parameter that is written there by name may go where the image wants it (CVE-2019-16884, CVE-2025-52881). A handle
is a mount of procfs that was never attached anywhere, so nobody can have put anything over it.

    with procfs.private() as proc_fd:
        procfs.write(proc_fd, "thread-self/attr/apparmor/exec", f"exec {profile}")
        assert procfs.read(proc_fd, "thread-self/attr/apparmor/exec").startswith(profile)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aethel_common.linux import calls, mounts, paths
from aethel_common.linux.mounts import FsConfig, MountAttr, OpenTree
from aethel_common.linux.paths import Resolve
from aethel_common.linux.statfs import Magic, file_system

_ROOT_INODE: Final = 1
"""PROC_ROOT_INO of linux/proc_fs.h"""
_BENEATH: Final = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS | Resolve.NO_XDEV
_SELF: Final = ("self", "thread-self")
_REFUSED: Final = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS)


@contextmanager
def private() -> Iterator[int]:
    """`open_private` for a block."""
    fd = open_private()
    try:
        yield fd
    finally:
        os.close(fd)


def open_private() -> int:
    """A verified procfs of this process's PID namespace; the caller's. Raises OSError when there is none to be had.

    Where a new one may not be mounted (a user namespace whose /proc has parts covered), it is a copy of the mount at
    /proc without what covers it, and at last /proc itself: below it nothing that is mounted is ever entered.
    """
    for attempt in (_new, _uncovered):
        try:
            return _verified(attempt())
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
    return _verified(os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))


def open_file(proc_fd: int, path: str, flags: int) -> int:
    """Open `path` below a handle; the caller's. `self` and `thread-self` may begin it, no other link may be in it.

    Raises OSError: EXDEV when something is mounted in the way, ELOOP for a link.
    """
    head, slash, rest = path.partition("/")
    if head in _SELF and slash:
        path = f"{_readlink(proc_fd, head)}/{rest}"
    fd = paths.openat2(proc_fd, path, flags, resolve=_BENEATH)
    try:
        _check(file_system(fd) == Magic.PROC, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write(proc_fd: int, path: str, value: str) -> None:
    """Write `value` at once, as these files want it. Who must be sure reads it back."""
    fd = open_file(proc_fd, path, os.O_WRONLY)
    try:
        calls.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, f"write(2) {value!r}: {error.strerror}", f"/proc/{path}") from error
    finally:
        os.close(fd)


def read(proc_fd: int, path: str) -> str:
    """The whole file, without white space at its end."""
    with open(open_file(proc_fd, path, os.O_RDONLY), "rb", buffering=0) as file:
        return file.read().decode(errors="replace").rstrip("\0 \n")


def _new() -> int:
    fs_fd = mounts.fsopen("proc")
    try:
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        return mounts.fsmount(fs_fd, MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
    finally:
        os.close(fs_fd)


def _uncovered() -> int:
    return mounts.open_tree(mounts.AT_FDCWD, "/proc", OpenTree.CLONE | OpenTree.CLOEXEC)


def _verified(fd: int) -> int:
    try:
        is_root = file_system(fd) == Magic.PROC and os.fstat(fd).st_ino == _ROOT_INODE
        _check(is_root, "/proc")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check(holds: bool, path: str) -> None:
    if not holds:
        raise OSError(errno.EXDEV, "is not the kernel's procfs", path)


def _readlink(proc_fd: int, name: str) -> str:
    """Where procfs itself says that `self` is: the mount may belong to another PID namespace than the caller thinks."""
    fd = paths.openat2(proc_fd, name, os.O_PATH | os.O_NOFOLLOW, resolve=Resolve.BENEATH | Resolve.NO_XDEV)
    try:
        _check(file_system(fd) == Magic.PROC, name)
        return os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)
