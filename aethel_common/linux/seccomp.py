"""A filter before each system call of this process and its children. man 2 seccomp"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

from aethel_common.linux._libc import Syscall
from aethel_common.linux.structures import Struct
from aethel_common.linux.symbols import Flags, Number
from aethel_common.linux.trace import Word


class FilterFlag(Flags, prefix="SECCOMP_FILTER_FLAG_"):
    """linux/seccomp.h"""

    TSYNC = 1
    LOG = 2
    SPEC_ALLOW = 4
    NEW_LISTENER = 8
    TSYNC_ESRCH = 16
    WAIT_KILLABLE_RECV = 32


class Return(Number, prefix="SECCOMP_RET_"):
    """linux/seccomp.h: what a filter answers; the low 16 bits are data."""

    KILL_PROCESS = 0x80000000
    KILL_THREAD = 0x00000000
    TRAP = 0x00030000
    ERRNO = 0x00050000
    USER_NOTIF = 0x7FC00000
    TRACE = 0x7FF00000
    LOG = 0x7FFC0000
    ALLOW = 0x7FFF0000


class _Program(Struct):
    """struct sock_fprog of linux/filter.h"""

    shown = (("filter", lambda _: Word("...")),)
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class _Operation(Number, prefix="SECCOMP_"):
    SET_MODE_FILTER = 1
    GET_ACTION_AVAIL = 2


_INSTRUCTION_SIZE: Final = 8
_NR_SECCOMP: Final = {"x86_64": 317, "i686": 354, "armv7l": 383, "armv8l": 383}.get(os.uname().machine, 277)

_seccomp: Final = Syscall("seccomp", ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, number=_NR_SECCOMP)


def set_mode_filter(program: bytes, flags: FilterFlag = FilterFlag(0)) -> int | None:
    """Filter this thread, all threads with TSYNC; with NEW_LISTENER the listener, close-on-exec and the caller's.

    `program` is an array of struct sock_filter. Needs no_new_privs, or CAP_SYS_ADMIN in the own user namespace (EACCES).
    """
    structure = _Program(len(program) // _INSTRUCTION_SIZE, program)
    result = _seccomp(_Operation.SET_MODE_FILTER, flags, ctypes.byref(structure))
    if flags & FilterFlag.NEW_LISTENER:
        return result
    if result:
        # TSYNC without TSYNC_ESRCH names the thread that could not follow.
        raise OSError(errno.ESRCH, f"seccomp(2): thread {result} has a filter of its own")
    return None


def has_action(action: Return) -> bool:
    """Whether this kernel knows the answer. SECCOMP_GET_ACTION_AVAIL"""
    value = ctypes.c_uint32(action)
    try:
        _seccomp(_Operation.GET_ACTION_AVAIL, 0, ctypes.addressof(value))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise
    return True


def has_flag(flag: FilterFlag) -> bool:
    """Whether this kernel knows the flag: it looks at the flags before it fails to read a program that is not there."""
    needed = FilterFlag.NEW_LISTENER if flag is FilterFlag.WAIT_KILLABLE_RECV else FilterFlag(0)
    try:
        _seccomp(_Operation.SET_MODE_FILTER, flag | needed, None)
    except OSError as error:
        return error.errno == errno.EFAULT
    raise AssertionError("a filter at address 0")
