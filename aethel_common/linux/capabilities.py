"""Capabilities: the sets of a thread, the bounding set, the ambient set. man 7 capabilities"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterable
from typing import Final, NamedTuple

from aethel_common.linux._libc import Syscall
from aethel_common.linux.processes import Prctl
from aethel_common.linux.structures import Struct
from aethel_common.linux.symbols import Number
from aethel_common.linux.trace import hexadecimal


class Capability(Number):
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
_NUMBERS: Final = (*Capability, *range(len(Capability), 64))
"""Every number that the kernel has room for."""


class Sets(NamedTuple):
    """The three sets of a thread, as bit masks."""

    effective: int
    permitted: int
    inheritable: int


class _Ambient(Number, prefix="PR_CAP_AMBIENT_"):
    RAISE = 2
    CLEAR_ALL = 4


class _Header(Struct):
    shown = (("version", hexadecimal),)
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(Struct):
    """The low, then the high 32 bits, of effective, permitted and inheritable."""

    _fields_ = (("words", ctypes.c_uint32 * 6),)

    @property
    def sets(self) -> Sets:
        """As masks of 64 bits."""
        return Sets(*(self.words[index] | self.words[index + 3] << 32 for index in range(3)))

    @property
    def in_c(self) -> str:
        return "{" + ", ".join(f"{name}={_names(bits)}" for name, bits in self.sets._asdict().items()) + "}"


_capget: Final = Syscall("capget", ctypes.c_void_p, ctypes.c_void_p)
_capset: Final = Syscall("capset", ctypes.c_void_p, ctypes.c_void_p)
_prctl: Final = Syscall("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, always=2)


def mask(capabilities: Iterable[Capability]) -> int:
    """The set as a bit mask."""
    bits = 0
    for capability in capabilities:
        bits |= 1 << capability
    return bits


def _names(bits: int) -> str:
    if bits == mask(Capability):
        return "(all)"
    return "|".join(each.name for each in Capability if bits >> each & 1) or "0"


def capget() -> Sets:
    """The three sets of this thread. man 2 capget"""
    header = _Header(_VERSION_3, 0)
    data = _Data()
    _capget(ctypes.byref(header), ctypes.byref(data))
    return data.sets


def capset(*, effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of this thread, given as bit masks. man 2 capset"""
    header = _Header(_VERSION_3, 0)
    low = [bits & 0xFFFFFFFF for bits in (effective, permitted, inheritable)]
    high = [bits >> 32 for bits in (effective, permitted, inheritable)]
    data = _Data((ctypes.c_uint32 * 6)(*low, *high))
    _capset(ctypes.byref(header), ctypes.byref(data))


def drop_bounding(kept: int) -> None:
    """Take out of the bounding set what is not in the mask `kept`. PR_CAPBSET_DROP"""
    for number in _NUMBERS:
        if kept >> number & 1:
            continue
        try:
            _prctl(Prctl.CAPBSET_DROP, number, 0, 0, 0)
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
        return _prctl(Prctl.CAPBSET_READ, number, 0, 0, 0)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def set_ambient(raised: int) -> None:
    """Make the ambient set exactly the mask `raised`. man 2 PR_CAP_AMBIENT"""
    _prctl(Prctl.CAP_AMBIENT, _Ambient.CLEAR_ALL, 0, 0, 0)
    for number in _NUMBERS:
        if raised >> number & 1:
            _prctl(Prctl.CAP_AMBIENT, _Ambient.RAISE, number, 0, 0)
