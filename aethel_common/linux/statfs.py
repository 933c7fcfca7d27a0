"""Which file system holds an open file: what its path cannot prove. man 2 statfs"""

from __future__ import annotations

import ctypes
from typing import Final

from aethel_common.linux._libc import Syscall
from aethel_common.linux.structures import Struct, c_fd
from aethel_common.linux.symbols import Number
from aethel_common.linux.trace import Word, hexadecimal


class Magic(Number):
    """linux/magic.h, where they are called PROC_SUPER_MAGIC and so on."""

    PROC = 0x9FA0
    SYSFS = 0x62656572
    DEVPTS = 0x1CD1
    TMPFS = 0x01021994
    CGROUP2 = 0x63677270


class _Statfs(Struct):
    """The head of struct statfs, and room for the rest of it."""

    shown = (("f_type", hexadecimal), ("rest", lambda _: Word("...")))
    _fields_ = (("f_type", ctypes.c_long), ("rest", ctypes.c_byte * 248))


_fstatfs: Final = Syscall("fstatfs", c_fd, ctypes.c_void_p)


def file_system(fd: int) -> int:
    """The magic number of the file system that `fd`, which may be O_PATH, is on."""
    status = _Statfs()
    _fstatfs(fd, ctypes.byref(status))
    return int(status.f_type) & 0xFFFFFFFF
