"""A procfs of our own, which nothing that the image or another container mounted can stand in for. man 5 proc

CVE-2019-16884 and CVE-2025-52881 were writes to files of /proc that somebody had put something else over.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

from aethel_common.linux import mounts, paths
from aethel_common.linux._libc import Syscall
from aethel_common.linux.mounts import FsConfig, MountAttr
from aethel_common.linux.paths import Resolve
from aethel_common.linux.trace import Fd

_PROC_SUPER_MAGIC: Final = 0x9FA0
_ROOT_INODE: Final = 1
_RESOLVE: Final = Resolve.BENEATH | Resolve.NO_XDEV | Resolve.NO_SYMLINKS

_fstatfs: Final = Syscall("fstatfs", Fd, ctypes.c_void_p)


class Procfs:
    """A detached procfs of this process's PID namespace, or another directory that looks like one."""

    def __init__(self, directory_fd: int) -> None:
        self._fd = directory_fd

    @classmethod
    def open(cls) -> Procfs:
        """A new one; OSError where this process may not mount it. man 2 fsopen"""
        fs_fd = mounts.fsopen("proc")
        try:
            mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
            fd = mounts.fsmount(fs_fd, MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
        finally:
            os.close(fs_fd)
        if _magic(fd) != _PROC_SUPER_MAGIC or os.fstat(fd).st_ino != _ROOT_INODE:
            os.close(fd)
            raise OSError(errno.EBADF, "not a procfs")
        return cls(fd)

    def write(self, path: str, data: bytes) -> None:
        """One write to a file, such as `self/attr/exec`."""
        fd = self._open(path, os.O_WRONLY)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def read(self, path: str) -> bytes:
        """Up to a page of a file."""
        fd = self._open(path, os.O_RDONLY)
        try:
            return os.read(fd, 4096)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    def _open(self, path: str, flags: int) -> int:
        # `self` is a symbolic link, and none is followed.
        first, slash, rest = path.partition("/")
        own = str(os.getpid()) if first == "self" else first
        return paths.openat2(self._fd, own + slash + rest, flags, resolve=_RESOLVE)


def _magic(fd: int) -> int:
    """f_type, the first word of struct statfs. man 2 fstatfs"""
    buffer = (ctypes.c_long * 32)()
    _fstatfs(fd, ctypes.byref(buffer))
    return int(buffer[0])
