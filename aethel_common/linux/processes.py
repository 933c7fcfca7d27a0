"""Processes: signals by descriptor, closing descriptors, prctl one function an option. man 2 prctl"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

from aethel_common.linux._libc import Syscall
from aethel_common.linux.structures import Struct
from aethel_common.linux.symbols import Flags, Number


class Prctl(Number, prefix="PR_"):
    """linux/prctl.h"""

    SET_PDEATHSIG = 1
    SET_DUMPABLE = 4
    SET_KEEPCAPS = 8
    SET_NAME = 15
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    SET_CHILD_SUBREAPER = 36
    SET_NO_NEW_PRIVS = 38
    CAP_AMBIENT = 47


class _CloseRange(Flags, prefix="CLOSE_RANGE_"):
    CLOEXEC = 4


class _Keyctl(Number, prefix="KEYCTL_"):
    JOIN_SESSION_KEYRING = 1


_NR_KEYCTL: Final = {"x86_64": 250}.get(os.uname().machine, 219)

_prctl: Final = Syscall("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, always=2)
_prctl_set_name: Final = Syscall("prctl", ctypes.c_int, ctypes.c_void_p)


class _Name(Struct):
    """What ps -o comm shows."""

    _fields_ = (("name", ctypes.c_char * 16),)

    @property
    def in_c(self) -> str:
        return f'"{os.fsdecode(self.name)}"'


_prctl_name: Final = _Name()
_close_range: Final = Syscall("close_range", ctypes.c_uint, ctypes.c_uint, ctypes.c_int, number=436)
_pidfd_getfd: Final = Syscall("pidfd_getfd", ctypes.c_int, ctypes.c_int, ctypes.c_uint, number=438)
_keyctl: Final = Syscall("keyctl", ctypes.c_int, ctypes.c_char_p, number=_NR_KEYCTL)


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Signal that very process. Raises ProcessLookupError when it has ended. man 2 pidfd_send_signal"""
    signal.pidfd_send_signal(pidfd, number)


def pid_of(pidfd: int) -> int:
    """The number that this PID namespace has for it; -1 once it is reaped, 0 where it cannot be seen. man 2 pidfd_open"""
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(b"Pid:"))


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A duplicate, close-on-exec and the caller's, of descriptor `fd` of that process. man 2 pidfd_getfd"""
    return _pidfd_getfd(pidfd, fd, 0)


def set_cloexec_from(first_fd: int) -> None:
    """Have every descriptor from `first_fd` on closed by execve. man 2 close_range"""
    _close_range(first_fd, 0xFFFFFFFF, _CloseRange.CLOEXEC)


def set_process_name(name: str) -> None:
    """What `ps -o comm` shows: up to 15 bytes. PR_SET_NAME"""
    _prctl_name.name = os.fsencode(name)[:15]
    _prctl_set_name(Prctl.SET_NAME, ctypes.byref(_prctl_name))


def die_with_parent() -> None:
    """Have the kernel send us SIGKILL when our parent ends; children do not inherit it. PR_SET_PDEATHSIG"""
    _prctl(Prctl.SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def set_no_new_privs() -> None:
    """From here on execve gives no privilege that was not there. PR_SET_NO_NEW_PRIVS"""
    _prctl(Prctl.SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def set_keep_capabilities() -> None:
    """Keep the permitted set when the user ids change; cleared by execve. PR_SET_KEEPCAPS"""
    _prctl(Prctl.SET_KEEPCAPS, 1, 0, 0, 0)


def set_dumpable(dumpable: bool) -> None:
    """Whether others of the same user may trace this process and open its /proc files. PR_SET_DUMPABLE"""
    _prctl(Prctl.SET_DUMPABLE, int(dumpable), 0, 0, 0)


def set_child_subreaper() -> None:
    """Be the parent of orphans among our descendants. PR_SET_CHILD_SUBREAPER"""
    _prctl(Prctl.SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def join_session_keyring() -> None:
    """Take a new session keyring, so that the caller's keys stay with the caller. man 7 session-keyring"""
    _keyctl(_Keyctl.JOIN_SESSION_KEYRING, None)
