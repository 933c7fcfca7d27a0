"""Those who connect to monitor.sock: what they asked for, and what is still to be sent to them."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from aethel_common import fdsocket
from aethel_d.monitor import protocol
from aethel_d.monitor.loop import WRITABLE, Loop

QUEUE_LIMIT: Final = 1024 * 1024
"""Bytes queued for one client; above it the container's own output waits (as in a shell's pipe)."""


class Client:
    """One connection: receives requests through `on_message`, sends through a queue so that nobody is waited for."""

    def __init__(
        self,
        connection: socket.socket,
        loop: Loop,
        on_message: Callable[[Client, bytes], None],
        on_change: Callable[[], None],
    ) -> None:
        self._connection = connection
        connection.setblocking(False)
        self._reader = connection.fileno()
        # epoll holds one entry a descriptor, and reading is paused apart from writing.
        self._writer = connection.dup()
        self._loop = loop
        self._on_message = on_message
        self._on_change = on_change
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self.attached: protocol.Attach | None = None
        self.watching = False
        self.closed = False
        loop.add(self._reader, self._readable)

    @property
    def is_full(self) -> bool:
        """Whether the container should wait before it writes more."""
        return self._queued_bytes >= QUEUE_LIMIT

    @property
    def is_idle(self) -> bool:
        """Nothing is left to send."""
        return not self._queue

    def wants(self, is_stderr: bool) -> bool:
        """Whether it asked for that stream."""
        return self.attached is not None and (self.attached.stderr if is_stderr else self.attached.stdout)

    def send(self, message: bytes) -> None:
        """Queue a message, and send what can be sent now."""
        self._queue.append(message)
        self._queued_bytes += len(message)
        if len(self._queue) == 1:
            self._flush()

    def pause_reading(self) -> None:
        """Take no more requests for now: what it sends cannot be passed on."""
        self._loop.remove(self._reader)

    def resume_reading(self) -> None:
        """Take requests again."""
        if not self.closed and not self._loop.watches(self._reader):
            self._loop.add(self._reader, self._readable)

    def close(self) -> None:
        """Drop the connection and whatever was queued."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove(self._reader)
        self._loop.remove(self._writer.fileno())
        self._queue.clear()
        self._queued_bytes = 0
        self._writer.close()
        self._connection.close()
        self._on_change()

    def _readable(self) -> None:
        try:
            message, fds = fdsocket.receive(self._connection)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.close()
            return
        assert not fds
        if message:
            self._on_message(self, message)
        else:
            self.close()

    def _flush(self) -> None:
        was_full = self.is_full
        try:
            while self._queue:
                fdsocket.send(self._connection, self._queue[0])
                self._queued_bytes -= len(self._queue.popleft())
        except BlockingIOError:
            if not self._loop.watches(self._writer.fileno()):
                self._loop.add(self._writer.fileno(), self._flush, WRITABLE)
            self._tell(was_full)
            return
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            return
        self._loop.remove(self._writer.fileno())
        self._tell(was_full)

    def _tell(self, was_full: bool) -> None:
        if (was_full and not self.is_full) or self.is_idle:
            self._on_change()
