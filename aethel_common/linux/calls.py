"""System calls that the standard library makes for us, told like our own while somebody listens.

For code whose calls are part of a container's story: `calls.chdir(path)` is `os.chdir(path)`. The name that is told is
that of the call which the C library makes of it on this kernel.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from aethel_common.linux.symbols import Flags, Number
from aethel_common.linux.trace import AT_FDCWD, Fd, Record, Word, octal, show, told, trace

T = TypeVar("T")
A = TypeVar("A", int, bytes)


class Open(Flags, prefix="O_"):
    """asm-generic/fcntl.h, the numbers of this machine; callers use those of `os`."""

    RDONLY = os.O_RDONLY
    WRONLY = os.O_WRONLY
    RDWR = os.O_RDWR
    CREAT = os.O_CREAT
    EXCL = os.O_EXCL
    NOCTTY = os.O_NOCTTY
    TRUNC = os.O_TRUNC
    APPEND = os.O_APPEND
    NONBLOCK = os.O_NONBLOCK
    DIRECTORY = os.O_DIRECTORY
    NOFOLLOW = os.O_NOFOLLOW
    CLOEXEC = os.O_CLOEXEC
    PATH = os.O_PATH


class Terminal(Number, prefix="TIOC"):
    """asm-generic/ioctls.h; some are not in termios."""

    SCTTY = 0x540E
    SPTLCK = 0x40045431
    GPTN = 0x80045430
    GPTPEER = 0x5441


class _Descriptor(Number, prefix="F_"):
    DUPFD_CLOEXEC = fcntl.F_DUPFD_CLOEXEC


class _Mode(Flags, prefix="S_IF"):
    """The types that mknod can make."""

    IFO = 0o010000
    CHR = 0o020000
    BLK = 0o060000


def chdir(path: str) -> None:
    """man 2 chdir"""
    _call("chdir", os.chdir, (path,))


def fchdir(fd: int) -> None:
    """man 2 fchdir"""
    _call("fchdir", os.fchdir, (fd,), Fd)


def open(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """A descriptor, the caller's, not inherited. man 2 openat"""
    if trace.sink is None:
        return os.open(path, flags, mode, dir_fd=dir_fd)
    shown = (_at(dir_fd), path, Open(flags | os.O_CLOEXEC), *((octal(mode),) if flags & os.O_CREAT else ()))
    return told("openat", shown, lambda: os.open(path, flags, mode, dir_fd=dir_fd), trace.sink)


def write(fd: int, data: bytes) -> int:
    """How many bytes were taken. man 2 write"""
    if trace.sink is None:
        return os.write(fd, data)
    return told("write", (Fd(fd), data, len(data)), lambda: os.write(fd, data), trace.sink)


def write_file(path: str, data: bytes) -> None:
    """Open, one write, close: how the kernel's own files want it. Raises OSError that names the file."""
    fd = open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        write(fd, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)


def mkdir(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    """man 2 mkdir"""
    if trace.sink is None:
        os.mkdir(path, mode, dir_fd=dir_fd)
        return
    name, where = _at_form("mkdir", dir_fd)
    told(name, (*where, path, octal(mode)), lambda: os.mkdir(path, mode, dir_fd=dir_fd), trace.sink)


def mknod(path: str, mode: int, device: int, *, dir_fd: int | None = None) -> None:
    """man 2 mknod"""
    if trace.sink is None:
        os.mknod(path, mode, device, dir_fd=dir_fd)
        return
    kind = Word(f"{_Mode(mode & 0o170000).in_c}|{octal(mode & 0o7777)}")
    number = Word(f"makedev({os.major(device)}, {os.minor(device)})")
    shown = (_at(dir_fd), path, kind, number)
    told("mknodat", shown, lambda: os.mknod(path, mode, device, dir_fd=dir_fd), trace.sink)


def symlink(target: str, path: str, *, dir_fd: int | None = None) -> None:
    """man 2 symlink"""
    if trace.sink is None:
        os.symlink(target, path, dir_fd=dir_fd)
        return
    name, where = _at_form("symlink", dir_fd)
    told(name, (target, *where, path), lambda: os.symlink(target, path, dir_fd=dir_fd), trace.sink)


def chown(path: str, uid: int, gid: int) -> None:
    """man 2 chown"""
    _call("chown", os.chown, (path, uid, gid))


def chmod(path: str, mode: int) -> None:
    """man 2 chmod"""
    _call("chmod", os.chmod, (path, mode), lambda each: each, octal)


def fchown(fd: int, uid: int, gid: int) -> None:
    """man 2 fchown"""
    _call("fchown", os.fchown, (fd, uid, gid), Fd)


def fchmod(fd: int, mode: int) -> None:
    """man 2 fchmod"""
    _call("fchmod", os.fchmod, (fd, mode), Fd, octal)


def dup2(fd: int, target: int) -> None:
    """An inherited copy. man 2 dup2"""
    _call("dup2", os.dup2, (fd, target), Fd)


def duplicate_above(fd: int, lowest: int) -> int:
    """A copy with a number of at least `lowest`, the caller's. man 2 fcntl"""
    return int(_call("fcntl", fcntl.fcntl, (fd, fcntl.F_DUPFD_CLOEXEC, lowest), Fd, _Descriptor))


def ioctl(fd: int, request: Terminal, argument: A) -> A:
    """What the kernel makes of the argument, or of bytes their new contents. man 2 ioctl_tty"""
    result: A = _call("ioctl", fcntl.ioctl, (fd, request, argument), Fd)
    return result


def setsid() -> None:
    """man 2 setsid"""
    _call("setsid", _setsid, ())


def setgroups(groups: Sequence[int]) -> None:
    """man 2 setgroups"""
    _call("setgroups", os.setgroups, (groups,), lambda ids: Word(f"{len(ids)}, {show(tuple(ids))}"))


def setresgid(real: int, effective: int, saved: int) -> None:
    """man 2 setresgid"""
    _call("setresgid", os.setresgid, (real, effective, saved))


def setresuid(real: int, effective: int, saved: int) -> None:
    """man 2 setresuid"""
    _call("setresuid", os.setresuid, (real, effective, saved))


def umask(mask: int) -> int:
    """The mask before. man 2 umask"""
    return int(_call("umask", os.umask, (mask,), octal))


def default_action(number: int) -> None:
    """SIG_DFL for one signal. man 2 sigaction"""
    _call("rt_sigaction", signal.signal, (number, signal.SIG_DFL), _signal, lambda _: Word("{sa_handler=SIG_DFL}"))


def unblock_signals() -> None:
    """An empty mask. man 2 sigprocmask"""
    _call("rt_sigprocmask", signal.pthread_sigmask, (signal.SIG_SETMASK, ()), lambda _: Word("SIG_SETMASK"))


def execve(path: str, arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Told before it happens: one that goes well does not return. man 2 execve"""
    if trace.sink is None:
        os.execve(path, list(arguments), environment)
    # Variables may be secrets, and a story is kept.
    shown = (show(path), show(tuple(arguments)), f"/* {len(environment)} variables */")
    trace.sink(Record("execve", shown, None, 0, 0))
    try:
        os.execve(path, list(arguments), environment)
    except OSError as error:
        trace.sink(Record("execve", shown, -1, error.errno or 0, 0))
        raise


def _call(name: str, call: Callable[..., Any], arguments: Sequence[Any], *meanings: Callable[[Any], object]) -> Any:
    """`meanings`: what the first arguments are; the others are shown as they are."""
    if trace.sink is None:
        return call(*arguments)
    shown = [meaning(argument) for meaning, argument in zip(meanings, arguments, strict=False)]
    return told(name, (*shown, *arguments[len(shown) :]), lambda: call(*arguments), trace.sink)


def _setsid() -> int:
    """The library keeps the result for itself: the session's id, which is ours now."""
    os.setsid()
    return os.getpid()


def _signal(number: int) -> object:
    try:
        return Word(signal.Signals(number).name)
    except ValueError:
        return number  # a real-time signal, which has no name


def _at_form(name: str, dir_fd: int | None) -> tuple[str, tuple[Fd, ...]]:
    return (name, ()) if dir_fd is None else (f"{name}at", (Fd(dir_fd),))


def _at(dir_fd: int | None) -> Fd:
    return Fd(AT_FDCWD if dir_fd is None else dir_fd)
