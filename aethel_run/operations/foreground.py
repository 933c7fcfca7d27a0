"""Wait for a program in the foreground: our signals are its own, and our terminal, if it has one, is passed on."""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aethel_common.linux import processes

_UNCAUGHT: Final = frozenset(
    {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH}
    | {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)
_CHUNK: Final = 32 * 1024


def wait(pidfd: int, console_fd: int | None) -> int:
    """The status of a child of ours, 128+n when signal n ended it; closes both descriptors."""
    _forward_signals(pidfd)
    if console_fd is not None:
        with _raw(0):
            signal.signal(signal.SIGWINCH, lambda *_: _resize(console_fd))
            _resize(console_fd)
            _copy(console_fd, pidfd)
        os.close(console_fd)
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    assert result is not None
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def _forward_signals(pidfd: int) -> None:
    def forward(number: int, _: object) -> None:
        try:
            processes.pidfd_send_signal(pidfd, number)
        except OSError:
            pass  # it has ended, which the wait will tell

    for number in signal.valid_signals() - _UNCAUGHT:
        if number < signal.SIGRTMIN:
            signal.signal(number, forward)


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Every key goes through, while the block lasts; nothing where there is no terminal. man 3 termios"""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _resize(console_fd: int) -> None:
    if os.isatty(0):
        termios.tcsetwinsize(console_fd, termios.tcgetwinsize(0))


def _copy(console_fd: int, pidfd: int) -> None:
    """Until nobody holds the terminal's other end any more, or the program has ended and all it wrote was read."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(console_fd, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if console_fd in ready and not _pass_on(console_fd, 1):
            return
        if console_fd not in ready and pidfd in ready:
            return
        if 0 in ready and not _pass_on(0, console_fd):
            poll.unregister(0)


def _pass_on(source: int, target: int) -> bool:
    try:
        data = os.read(source, _CHUNK)
    except OSError:
        return False  # EIO: nobody holds the other end, man 4 pts
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
    return bool(data)
