"""Resource limits of a process, whole 64 bits of them. man 2 prlimit"""

from __future__ import annotations

import ctypes
from typing import Final

from aethel_common.linux._libc import Syscall
from aethel_common.linux.structures import Struct
from aethel_common.linux.symbols import Number


class Rlimit(Number):
    """asm-generic/resource.h"""

    RLIMIT_CPU = 0
    RLIMIT_FSIZE = 1
    RLIMIT_DATA = 2
    RLIMIT_STACK = 3
    RLIMIT_CORE = 4
    RLIMIT_RSS = 5
    RLIMIT_NPROC = 6
    RLIMIT_NOFILE = 7
    RLIMIT_MEMLOCK = 8
    RLIMIT_AS = 9
    RLIMIT_LOCKS = 10
    RLIMIT_SIGPENDING = 11
    RLIMIT_MSGQUEUE = 12
    RLIMIT_NICE = 13
    RLIMIT_RTPRIO = 14
    RLIMIT_RTTIME = 15


class _Rlimit64(Struct):
    _fields_ = (("rlim_cur", ctypes.c_uint64), ("rlim_max", ctypes.c_uint64))


_prlimit: Final = Syscall("prlimit", ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def set_limit(pid: int, kind: Rlimit, soft: int, hard: int) -> None:
    """Set one limit of that process; 2**64-1 is none. man 2 prlimit

    EPERM: a hard limit is only raised with CAP_SYS_RESOURCE of the initial user namespace, RLIMIT_NOFILE never beyond
    the sysctl fs.nr_open.
    """
    limit = _Rlimit64(soft, hard)
    _prlimit(pid, kind, ctypes.byref(limit), None)


def get_limit(pid: int, kind: Rlimit) -> tuple[int, int]:
    """Soft and hard. man 2 prlimit"""
    limit = _Rlimit64()
    _prlimit(pid, kind, None, ctypes.byref(limit))
    return limit.rlim_cur, limit.rlim_max
