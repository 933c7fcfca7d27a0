"""What `os` lacks of the calls on files."""

from __future__ import annotations

import ctypes
from typing import Final

from aethel_common.linux._libc import Syscall

_syncfs: Final = Syscall("syncfs", ctypes.c_int)


def syncfs(fd: int) -> None:
    """Write all that is pending for the file system of `fd` to its disk. man 2 syncfs"""
    _syncfs(fd)
