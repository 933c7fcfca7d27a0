"""Capabilities: the sets of a thread, the bounding set, the ambient set. man 7 capabilities"""

from __future__ import annotations

import ctypes
import enum
import errno
from collections.abc import Iterable
from typing import Final, NamedTuple

from aethel_common.linux._libc import Syscall


class Capability(enum.IntEnum):
    """linux/capability.h"""

    CAP_CHOWN = 0
    CAP_DAC_OVERRIDE = 1
    CAP_DAC_READ_SEARCH = 2
    CAP_FOWNER = 3
    CAP_FSETID = 4
    CAP_KILL = 5
    CAP_SETGID = 6
    CAP_SETUID = 7
    CAP_SETPCAP = 8
    CAP_LINUX_IMMUTABLE = 9
    CAP_NET_BIND_SERVICE = 10
    CAP_NET_BROADCAST = 11
    CAP_NET_ADMIN = 12
    CAP_NET_RAW = 13
    CAP_IPC_LOCK = 14
    CAP_IPC_OWNER = 15
    CAP_SYS_MODULE = 16
    CAP_SYS_RAWIO = 17
    CAP_SYS_CHROOT = 18
    CAP_SYS_PTRACE = 19
    CAP_SYS_PACCT = 20
    CAP_SYS_ADMIN = 21
    CAP_SYS_BOOT = 22
    CAP_SYS_NICE = 23
    CAP_SYS_RESOURCE = 24
    CAP_SYS_TIME = 25
    CAP_SYS_TTY_CONFIG = 26
    CAP_MKNOD = 27
    CAP_LEASE = 28
    CAP_AUDIT_WRITE = 29
    CAP_AUDIT_CONTROL = 30
    CAP_SETFCAP = 31
    CAP_MAC_OVERRIDE = 32
    CAP_MAC_ADMIN = 33
    CAP_SYSLOG = 34
    CAP_WAKE_ALARM = 35
    CAP_BLOCK_SUSPEND = 36
    CAP_AUDIT_READ = 37
    CAP_PERFMON = 38
    CAP_BPF = 39
    CAP_CHECKPOINT_RESTORE = 40


_VERSION_3: Final = 0x20080522
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    """The low, then the high 32 bits, of effective, permitted and inheritable."""

    _fields_ = (("words", ctypes.c_uint32 * 6),)


class Sets(NamedTuple):
    """The three sets of a thread, as bit masks."""

    effective: int
    permitted: int
    inheritable: int


_capget: Final = Syscall("capget", ctypes.c_void_p, ctypes.c_void_p)
_capset: Final = Syscall("capset", ctypes.c_void_p, ctypes.c_void_p)
_prctl: Final = Syscall("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def mask(capabilities: Iterable[Capability]) -> int:
    """The set as a bit mask."""
    bits = 0
    for capability in capabilities:
        bits |= 1 << capability
    return bits


def capget() -> Sets:
    """The three sets of this thread. man 2 capget"""
    header = _Header(_VERSION_3, 0)
    data = _Data()
    _capget(ctypes.addressof(header), ctypes.addressof(data))
    return Sets(*(data.words[index] | data.words[index + 3] << 32 for index in range(3)))


def capset(*, effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of this thread, given as bit masks. man 2 capset"""
    header = _Header(_VERSION_3, 0)
    low = [bits & 0xFFFFFFFF for bits in (effective, permitted, inheritable)]
    high = [bits >> 32 for bits in (effective, permitted, inheritable)]
    data = _Data((ctypes.c_uint32 * 6)(*low, *high))
    _capset(ctypes.addressof(header), ctypes.addressof(data))


def drop_bounding(kept: int) -> None:
    """Take out of the bounding set what is not in the mask `kept`. PR_CAPBSET_DROP"""
    for number in range(64):
        if kept >> number & 1:
            continue
        try:
            _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # beyond the last capability that this kernel knows
            raise


def has_bounding(number: int) -> bool:
    """Whether the bounding set holds it; it does not hold what this kernel does not know. PR_CAPBSET_READ"""
    return _read_bounding(number) == 1


def bounding() -> int:
    """The bounding set of this thread, as a bit mask. PR_CAPBSET_READ"""
    return mask(capability for capability in Capability if has_bounding(capability))


def supported() -> tuple[Capability, ...]:
    """Those that this kernel knows. PR_CAPBSET_READ"""
    return tuple(capability for capability in Capability if _read_bounding(capability) is not None)


def _read_bounding(number: int) -> int | None:
    try:
        return _prctl(_PR_CAPBSET_READ, number, 0, 0, 0)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def set_ambient(raised: int) -> None:
    """Make the ambient set exactly the mask `raised`. man 2 PR_CAP_AMBIENT"""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in range(64):
        if raised >> number & 1:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)
