"""What a monitor gets from its creator, and the few words between the two; `creator` draws who says what when."""

from __future__ import annotations

import socket
from dataclasses import dataclass, fields
from typing import Final

from aethel_common import fdsocket

READY: Final = b"ready"
"""The monitor listens."""
BEGUN: Final = b"begun"
"""The user's program runs; nothing is undone any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Descriptors: of the container's first process, and either the master of its terminal or our ends of its pipes."""

    pidfd: int
    console: int | None = None
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None

    def send(self, sock: socket.socket) -> None:
        """Hand copies over: their names are the message."""
        named = {field.name: fd for field in fields(self) if (fd := getattr(self, field.name)) is not None}
        fdsocket.send(sock, " ".join(named).encode(), list(named.values()))

    @classmethod
    def receive(cls, sock: socket.socket) -> Handover | None:
        """The caller owns what comes; None when the creator ended instead."""
        message, fds = fdsocket.receive(sock)
        return cls(**dict(zip(message.decode().split(), fds, strict=True))) if message else None
