"""Processes: signals by descriptor, closing descriptors, prctl one function an option. man 2 prctl"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

from aethel_common.linux._libc import Syscall

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_KEEPCAPS: Final = 8
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38

_CLOSE_RANGE_CLOEXEC: Final = 4
_KEYCTL_JOIN_SESSION_KEYRING: Final = 1
_NR_KEYCTL: Final = {"x86_64": 250}.get(os.uname().machine, 219)

_prctl: Final = Syscall("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_prctl_name: Final = ctypes.create_string_buffer(16)
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
    _close_range(first_fd, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC)


def set_process_name(name: str) -> None:
    """What `ps -o comm` shows: up to 15 bytes. PR_SET_NAME"""
    _prctl_name.value = os.fsencode(name)[:15]
    _prctl(_PR_SET_NAME, ctypes.addressof(_prctl_name), 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel send us SIGKILL when our parent ends; children do not inherit it. PR_SET_PDEATHSIG"""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def set_no_new_privs() -> None:
    """From here on execve gives no privilege that was not there. PR_SET_NO_NEW_PRIVS"""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def set_keep_capabilities() -> None:
    """Keep the permitted set when the user ids change; cleared by execve. PR_SET_KEEPCAPS"""
    _prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)


def set_dumpable(dumpable: bool) -> None:
    """Whether others of the same user may trace this process and open its /proc files. PR_SET_DUMPABLE"""
    _prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)


def set_child_subreaper() -> None:
    """Be the parent of orphans among our descendants. PR_SET_CHILD_SUBREAPER"""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def join_session_keyring() -> None:
    """Take a new session keyring, so that the caller's keys stay with the caller. man 7 session-keyring"""
    _keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None)
