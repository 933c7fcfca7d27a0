"""The daemon's end: the conversation of a start, and connections to monitor.sock."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from aethel_common import fdsocket
from aethel_common.errors import TimedOut, Unavailable, WrongState
from aethel_d.monitor import protocol

M = TypeVar("M", bound=protocol.Message)

ANSWER_SECONDS: Final = 10.0
"""A monitor that takes longer to answer is taken for stuck."""


class Conversation:
    """What is said while one container starts; see `protocol`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.settimeout(60)  # a bound for the whole set-up of a container, which takes milliseconds

    def expect(self, kind: type[M]) -> M:
        """The next message, which must be of that kind. Raises the monitor's own error, Unavailable or TimedOut."""
        message, fds = self.expect_with_fds(kind)
        for fd in fds:
            os.close(fd)
        return message

    def expect_with_fds(self, kind: type[M]) -> tuple[M, list[int]]:
        """As `expect`; the descriptors that came along are the caller's."""
        try:
            data, fds = fdsocket.receive(self._socket)
        except TimeoutError:
            raise TimedOut("the monitor does not get on with the container's set-up") from None
        except ConnectionResetError:
            data, fds = b"", []
        if not data:
            raise Unavailable("the container's monitor died while it was being set up", hint="see monitor.log")
        message = protocol.from_monitor(data)
        if isinstance(message, protocol.Failed):
            raise message.error()
        assert isinstance(message, kind), f"expected {kind.__name__}, got {message}"
        return message, fds

    def say(self, message: protocol.Message) -> None:
        """Send one message. A monitor that has failed meanwhile says so in its answer."""
        try:
            fdsocket.send(self._socket, protocol.encode(message))
        except BrokenPipeError:
            pass

    def close(self) -> None:
        """Before Start: the monitor undoes everything. Afterwards: nothing happens to the container."""
        self._socket.close()


class Connection:
    """A connection to a monitor's socket."""

    def __init__(self, path: Path) -> None:
        """Connect. Raises WrongState when no monitor listens there."""
        try:
            self._socket = fdsocket.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            raise WrongState("the container is not running") from None

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def ask(self, request: protocol.Message) -> protocol.ToClient:
        """Send a request and return its answer. Raises the monitor's error, WrongState or TimedOut."""
        self._socket.settimeout(ANSWER_SECONDS)
        try:
            self._send(protocol.control(request))
            data, _ = fdsocket.receive(self._socket)
        except TimeoutError:
            raise TimedOut("the container's monitor does not answer") from None
        except ConnectionResetError:
            data = b""
        finally:
            self._socket.settimeout(None)
        if not data:
            raise WrongState("the container is not running")
        answer: protocol.ToClient = protocol.to_client(data[1:])
        if isinstance(answer, protocol.Failed):
            raise answer.error()
        return answer

    def tell(self, request: protocol.Message) -> None:
        """Send a request that has no answer."""
        self._send(protocol.control(request))

    def feed(self, data: bytes) -> None:
        """Bytes for the container's stdin; waits while it does not read."""
        for start in range(0, len(data), protocol.CHUNK):
            self._send(protocol.STDIN + data[start : start + protocol.CHUNK])

    def receive(self) -> bytes:
        """The next message with its first byte; b"" when the monitor is gone or `shut_down` was called."""
        try:
            data, _ = fdsocket.receive(self._socket)
        except ConnectionResetError:
            return b""
        return data

    def shut_down(self) -> None:
        """Wake whoever waits in `receive` or `feed`."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the monitor was faster

    def close(self) -> None:
        """Let go."""
        self._socket.close()

    def _send(self, message: bytes) -> None:
        try:
            fdsocket.send(self._socket, message)
        except (BrokenPipeError, ConnectionResetError):
            raise WrongState("the container is not running") from None
