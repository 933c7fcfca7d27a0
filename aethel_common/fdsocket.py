"""One message is one SOCK_SEQPACKET datagram, with file descriptors beside it (SCM_RIGHTS).

Chosen over a stream because the kernel keeps the boundaries and the descriptors together with their message, and the
other end's death is an empty read. Addresses longer than sun_path's 108 bytes work, through /proc/self/fd.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

MAX_MESSAGE = 128 * 1024
MAX_FDS = 253
"""SCM_MAX_FD of net/scm.h"""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, message: bytes, fds: Sequence[int] = ()) -> None:
    """Send one message; the descriptors stay the caller's. Raises OSError (EPIPE: nobody is left to read)."""
    if fds:
        socket.send_fds(sock, [message], list(fds), socket.MSG_NOSIGNAL)
    else:
        sock.send(message, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """The next message and its descriptors, which the caller now owns; b"" when the other end is gone."""
    try:
        return _receive(sock)
    except ConnectionResetError:
        # The other end went without reading all of ours. That is told once, and before what it said at last.
        return _receive(sock)


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    message, fds, _, _ = socket.recv_fds(sock, MAX_MESSAGE, MAX_FDS, socket.MSG_CMSG_CLOEXEC)
    return message, fds


def listen(path: Path, backlog: int = 128) -> socket.socket:
    """A listening socket at `path`, mode 0600; a stale file there is replaced."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _Directory(path.parent) as directory:
        sock.bind(f"{directory}/{path.name}")
    os.chmod(path, 0o600)
    sock.listen(backlog)
    return sock


def connect(path: Path) -> socket.socket:
    """Connect to the socket at `path`. Raises FileNotFoundError or ConnectionRefusedError when nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _Directory(path.parent) as directory:
            sock.connect(f"{directory}/{path.name}")
    except BaseException:
        sock.close()
        raise
    return sock


class _Directory:
    """A short name for a directory, while the block lasts: sun_path holds 108 bytes only, unix(7)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> str:
        self._fd = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
