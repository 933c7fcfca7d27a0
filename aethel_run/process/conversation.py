"""The parent's half of what is said while a container is made; see `aethel_run.sync`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from aethel_common import fdsocket
from aethel_common.errors import AethelError
from aethel_run import sync


def send_go(sock: socket.socket, go: sync.Go, fds: list[int]) -> None:
    """Let the set-up begin; the descriptors stay the caller's."""
    try:
        fdsocket.send(sock, sync.encode(go), fds)
    except BrokenPipeError:
        pass  # init has failed already, and has said why


def await_ready(sock: socket.socket, run_hooks: Callable[[], None]) -> int | None:
    """Answer init until it waits at the gate; return the terminal's master if there is one, the caller's to close.

    `run_hooks` is called when everything is mounted. Raises what init failed of, and what `run_hooks` raises.
    """
    console_fd: int | None = None
    try:
        while True:
            answer, fds = _next(sock)
            match answer:
                case sync.Ready():
                    return console_fd
                case sync.Console():
                    console_fd = fds[0]
                case sync.HooksPlease():
                    run_hooks()
                    fdsocket.send(sock, sync.encode(sync.HooksDone()))
    except BaseException:
        if console_fd is not None:
            os.close(console_fd)
        raise


def await_execve(sock: socket.socket, give_listener: Callable[[int], None]) -> int | None:
    """Wait until init has become the user's program; of one that joins, the terminal's master if there is one.

    The socket's end is the sign: execve closed it (or init died, which its exit status will tell). `give_listener` gets
    the number that a seccomp listener has in init. Raises what failed.
    """
    console_fd: int | None = None
    try:
        while True:
            message, fds = _receive(sock)
            if not message:
                return console_fd
            match sync.from_init(message):
                case sync.Failed() as failed:
                    raise failed.error()
                case sync.Console():
                    console_fd = fds[0]
                case sync.Listener(fd=number):
                    give_listener(number)
                    fdsocket.send(sock, sync.encode(sync.ListenerGiven()))
    except BaseException:
        if console_fd is not None:
            os.close(console_fd)
        raise


def _next(sock: socket.socket) -> tuple[sync.FromInit, list[int]]:
    message, fds = _receive(sock)
    if not message:
        raise AethelError("the container's init died while it was being set up", hint="out of memory?")
    answer = sync.from_init(message)
    if isinstance(answer, sync.Failed):
        raise answer.error()
    return answer, fds


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    try:
        return fdsocket.receive(sock)
    except ConnectionResetError:
        return b"", []
