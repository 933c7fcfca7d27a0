"""When, where and as what a process runs: scheduler, io priority, memory policy, personality. man 7 sched"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Final

from aethel_common.linux._libc import Syscall
from aethel_common.linux.structures import Struct
from aethel_common.linux.symbols import Flags, Number


class SchedPolicy(Number):
    """linux/sched.h; SCHED_ISO is a number that no kernel has given a meaning so far."""

    SCHED_OTHER = 0
    SCHED_FIFO = 1
    SCHED_RR = 2
    SCHED_BATCH = 3
    SCHED_ISO = 4
    SCHED_IDLE = 5
    SCHED_DEADLINE = 6


class SchedFlags(Flags):
    """linux/sched.h"""

    SCHED_FLAG_RESET_ON_FORK = 0x01
    SCHED_FLAG_RECLAIM = 0x02
    SCHED_FLAG_DL_OVERRUN = 0x04
    SCHED_FLAG_KEEP_POLICY = 0x08
    SCHED_FLAG_KEEP_PARAMS = 0x10
    SCHED_FLAG_UTIL_CLAMP_MIN = 0x20
    SCHED_FLAG_UTIL_CLAMP_MAX = 0x40


class IoPriorityClass(Number):
    """linux/ioprio.h"""

    IOPRIO_CLASS_RT = 1
    IOPRIO_CLASS_BE = 2
    IOPRIO_CLASS_IDLE = 3


class MemoryPolicyMode(Number):
    """linux/mempolicy.h"""

    MPOL_DEFAULT = 0
    MPOL_PREFERRED = 1
    MPOL_BIND = 2
    MPOL_INTERLEAVE = 3
    MPOL_LOCAL = 4
    MPOL_PREFERRED_MANY = 5
    MPOL_WEIGHTED_INTERLEAVE = 6


class MemoryPolicyFlags(Flags):
    """linux/mempolicy.h; they are part of the mode's number."""

    MPOL_F_NUMA_BALANCING = 1 << 13
    MPOL_F_RELATIVE_NODES = 1 << 14
    MPOL_F_STATIC_NODES = 1 << 15


class PersonalityDomain(Number, prefix="PER_"):
    """linux/personality.h"""

    LINUX = 0
    LINUX32 = 8


class SchedAttr(Struct):
    """struct sched_attr of linux/sched/types.h in its second version (56 bytes), which has the two clamps."""

    shown = (("sched_policy", SchedPolicy), ("sched_flags", SchedFlags))

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("sched_policy", ctypes.c_uint32),
        ("sched_flags", ctypes.c_uint64),
        ("sched_nice", ctypes.c_int32),
        ("sched_priority", ctypes.c_uint32),
        ("sched_runtime", ctypes.c_uint64),
        ("sched_deadline", ctypes.c_uint64),
        ("sched_period", ctypes.c_uint64),
        ("sched_util_min", ctypes.c_uint32),
        ("sched_util_max", ctypes.c_uint32),
    )


_IOPRIO_WHO_PROCESS: Final = 1
_IOPRIO_CLASS_SHIFT: Final = 13
_X86_64: Final = os.uname().machine == "x86_64"

_sched_setattr: Final = Syscall(
    "sched_setattr", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, number=314 if _X86_64 else 274
)
_ioprio_set: Final = Syscall("ioprio_set", ctypes.c_int, ctypes.c_int, ctypes.c_int, number=251 if _X86_64 else 30)
_set_mempolicy: Final = Syscall(
    "set_mempolicy", ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, number=238 if _X86_64 else 237
)
_sched_setaffinity: Final = Syscall("sched_setaffinity", ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p)
_EVERY_CPU: Final = (ctypes.c_ubyte * 1024)(*(0xFF for _ in range(1024)))
_personality: Final = Syscall("personality", ctypes.c_ulong)


def sched_setattr(
    pid: int,
    policy: SchedPolicy,
    flags: SchedFlags = SchedFlags(0),
    *,
    nice: int = 0,
    priority: int = 0,
    runtime: int = 0,
    deadline: int = 0,
    period: int = 0,
) -> None:
    """Set how a thread is scheduled; times in nanoseconds. man 2 sched_setattr

    Both utilisation clamps, where `flags` ask for them, are 0. EPERM wants CAP_SYS_NICE of the initial user namespace.
    """
    attributes = SchedAttr(
        size=ctypes.sizeof(SchedAttr),
        sched_policy=policy,
        sched_flags=flags,
        sched_nice=nice,
        sched_priority=priority,
        sched_runtime=runtime,
        sched_deadline=deadline,
        sched_period=period,
    )
    _sched_setattr(pid, ctypes.byref(attributes), 0)


def use_every_cpu(pid: int) -> None:
    """Let a thread run on each CPU of its cgroup, now and when there will be more of them. man 2 sched_setaffinity"""
    # The kernel keeps what was asked for, and intersects it with the cgroup's.
    _sched_setaffinity(pid, ctypes.sizeof(_EVERY_CPU), ctypes.addressof(_EVERY_CPU))


def ioprio_set(pid: int, io_class: IoPriorityClass, priority: int) -> None:
    """Set the io priority of a thread: 0, the highest, to 7. man 2 ioprio_set"""
    _ioprio_set(_IOPRIO_WHO_PROCESS, pid, io_class << _IOPRIO_CLASS_SHIFT | priority)


def set_mempolicy(mode: MemoryPolicyMode, flags: MemoryPolicyFlags, nodes: Iterable[int]) -> None:
    """Say from which NUMA nodes this thread's memory comes; outlives execve. man 2 set_mempolicy"""
    mask = sum(1 << node for node in set(nodes))
    if not mask:
        _set_mempolicy(mode | flags, None, 0)
        return
    word = 8 * ctypes.sizeof(ctypes.c_ulong)
    words = (mask.bit_length() + word - 1) // word
    bits = (ctypes.c_ulong * words)(*(mask >> word * index & (1 << word) - 1 for index in range(words)))
    # The kernel takes one bit less than it is told.
    _set_mempolicy(mode | flags, ctypes.addressof(bits), words * word + 1)


def personality(domain: PersonalityDomain) -> None:
    """Set the execution domain; outlives execve. man 2 personality"""
    _personality(domain)
