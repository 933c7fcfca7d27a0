"""What a monitor gets from its creator, and the few words between the two; `creator` draws who says what when."""

from __future__ import annotations

import socket
from typing import Final

import msgspec

from aethel_common import fdsocket

READY: Final = b"ready"
"""The monitor listens."""
BEGUN: Final = b"begun"
"""The user's program runs; nothing is undone any more."""

_DESCRIPTORS: Final = ("monitor_log", "listener", "pidfd", "console", "stdin", "stdout", "stderr")


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """Paths, and descriptors, which are the receiver's to close."""

    bundle: str
    log: str
    cgroup: str
    shares_pids: bool = False
    """Without a PID namespace of its own: what its first process leaves behind is ours to end."""
    monitor_log: int
    """For the monitor's own stderr."""
    listener: int
    """monitor.sock"""
    pidfd: int
    """Of the container's first process."""
    console: int | None = None
    """The master of its terminal; without one, our ends of its pipes follow."""
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None

    def send(self, sock: socket.socket) -> None:
        """Hand copies over. Raises OSError when nobody is left to take them."""
        fds = [fd for name in _DESCRIPTORS if (fd := getattr(self, name)) is not None]
        fdsocket.send(sock, msgspec.json.encode(self), fds)


_decode = msgspec.json.Decoder(Handover).decode


def receive(sock: socket.socket) -> Handover | None:
    """Wait for it; None when the creator ended instead."""
    message, fds = fdsocket.receive(sock)
    if not message:
        return None
    handover = _decode(message)
    names = [name for name in _DESCRIPTORS if getattr(handover, name) is not None]
    return msgspec.structs.replace(handover, **dict(zip(names, fds, strict=True)))
