"""Namespaces: make them with a new process, leave them, join them. man 7 namespaces"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
from time import perf_counter_ns
from typing import Final

from aethel_common.linux._libc import Syscall
from aethel_common.linux.structures import Struct, c_fd
from aethel_common.linux.symbols import Flags
from aethel_common.linux.trace import Fd, Record, Word, trace


class CloneFlags(Flags, prefix="CLONE_"):
    """linux/sched.h"""

    NEWTIME = 0x00000080
    PIDFD = 0x00001000
    PARENT = 0x00008000
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    INTO_CGROUP = 0x200000000


class _CloneArgs(Struct):
    """struct clone_args of linux/sched.h, in its third version (88 bytes)."""

    shown = (
        ("flags", CloneFlags),
        ("pidfd", lambda address: [ctypes.c_int.from_address(address).value]),
        ("exit_signal", lambda number: Word(signal.Signals(number).name)),
        ("cgroup", Fd),
    )

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


_NR_CLONE3: Final = 435
# PyDLL keeps the interpreter's lock across the call. CDLL would release it, and the child would have to take back a lock
# whose owner does not exist on its side of the fork.
_raw_syscall: Final = ctypes.PyDLL(None, use_errno=True).syscall
_raw_syscall.restype = ctypes.c_long
_raw_syscall.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t)

_NS_GET_NSTYPE: Final = 0xB703
"""linux/nsfs.h"""

_unshare: Final = Syscall("unshare", ctypes.c_int)
_setns: Final = Syscall("setns", c_fd, ctypes.c_int)
_sethostname: Final = Syscall("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_setdomainname: Final = Syscall("setdomainname", ctypes.c_char_p, ctypes.c_size_t)


def clone3(flags: CloneFlags, cgroup_fd: int | None = None) -> tuple[int, int]:
    """Fork into new namespaces (and a cgroup): (0, -1) in the child, (pid, pidfd) in the parent. man 2 clone3

    Only for a process with one thread: the child gets a copy of this one thread and of every lock as it stood. With
    PARENT it becomes a child of the caller's parent, which then is the one to reap it.
    """
    pidfd = ctypes.c_int(-1)
    # A sibling has our own exit signal; the kernel refuses another.
    exit_signal = 0 if flags & CloneFlags.PARENT else int(signal.SIGCHLD)
    arguments = _CloneArgs(flags=flags | CloneFlags.PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=exit_signal)
    if cgroup_fd is not None:
        arguments.flags |= CloneFlags.INTO_CGROUP
        arguments.cgroup = cgroup_fd
    began = perf_counter_ns()
    pid = int(_raw_syscall(_NR_CLONE3, ctypes.addressof(arguments), ctypes.sizeof(arguments)))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()  # what os.fork() would have done for the interpreter
        return 0, -1
    number = ctypes.get_errno() if pid < 0 else 0
    if trace.sink is not None:
        took = perf_counter_ns() - began
        trace.sink(Record("clone3", (arguments.in_c, str(ctypes.sizeof(arguments))), pid, number, took))
    if number:
        raise OSError(number, f"clone3(2): {os.strerror(number)}")
    return pid, pidfd.value


def unshare(flags: CloneFlags) -> None:
    """Leave shared namespaces for new ones. man 2 unshare"""
    _unshare(flags)


def setns(fd: int, flags: CloneFlags) -> None:
    """Join the namespace that `fd` refers to; EINVAL when it is not of the kind in `flags`. man 2 setns"""
    _setns(fd, flags)


def kind_of(fd: int) -> CloneFlags:
    """Which kind of namespace `fd` refers to; no flag at all when it is none. man 2 ioctl_nsfs"""
    try:
        return CloneFlags(fcntl.ioctl(fd, _NS_GET_NSTYPE))
    except OSError as error:
        if error.errno == errno.ENOTTY:
            return CloneFlags(0)
        raise


def sethostname(name: str) -> None:
    """Set the UTS namespace's host name. man 2 sethostname"""
    encoded = os.fsencode(name)
    _sethostname(encoded, len(encoded), about=name)


def setdomainname(name: str) -> None:
    """Set the UTS namespace's NIS domain name. man 2 setdomainname"""
    encoded = os.fsencode(name)
    _setdomainname(encoded, len(encoded), about=name)
