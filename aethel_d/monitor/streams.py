"""The container's stdin, stdout and stderr: three pipes, or one pseudo-terminal."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from aethel_d.monitor.loop import WRITABLE, Loop
from aethel_d.monitor.protocol import CHUNK


@dataclass(frozen=True, slots=True)
class Pipes:
    """Both ends of the three; `inside` become the container's 0, 1 and 2. Without stdin, it reads /dev/null."""

    inside: tuple[int, int, int]
    stdin: int | None
    stdout: int
    stderr: int

    @classmethod
    def make(cls, *, open_stdin: bool) -> Pipes:
        """Make them; the caller owns all descriptors. man 2 pipe"""
        stdin: int | None = None
        if open_stdin:
            inside_stdin, stdin = os.pipe2(os.O_CLOEXEC)
        else:
            inside_stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        stdout, inside_stdout = os.pipe2(os.O_CLOEXEC)
        stderr, inside_stderr = os.pipe2(os.O_CLOEXEC)
        return cls((inside_stdin, inside_stdout, inside_stderr), stdin, stdout, stderr)

    def close_inside(self) -> None:
        """The container has its copies: end of file must mean that it closed them."""
        for fd in self.inside:
            os.close(fd)


class Output:
    """A stream out of the container; owns its descriptor, which is closed at the end of file."""

    def __init__(self, fd: int, is_stderr: bool, loop: Loop, sink: Callable[[bool, bytes], None]) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._is_stderr = is_stderr
        self._loop = loop
        self._sink = sink
        self.open = True

    def resume(self) -> None:
        """Read whenever there is something."""
        if self.open and not self._loop.watches(self._fd):
            self._loop.add(self._fd, self.read)

    def pause(self) -> None:
        """Leave it in the pipe: a full pipe makes the container wait."""
        self._loop.remove(self._fd)

    def read(self) -> None:
        """Pass on what is there, at most one chunk."""
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: nobody holds the terminal's other end any more, man 4 pts
        if data:
            self._sink(self._is_stderr, data)
        else:
            self._close()

    def drain(self) -> None:
        """Pass on all that is there now; for the time after the exit, when no more can come."""
        while self.open:
            try:
                data = os.read(self._fd, CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._close()
                return
            self._sink(self._is_stderr, data)

    def _close(self) -> None:
        self.open = False
        self._loop.remove(self._fd)
        os.close(self._fd)


class Input:
    """The stream into the container; owns its descriptor. Holds back the sender while the container does not read."""

    def __init__(self, fd: int, is_terminal: bool, loop: Loop) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._is_terminal = is_terminal
        self._loop = loop
        self._pending = b""
        self._on_room: Callable[[], None] | None = None
        self._closing = False
        self._open = True

    def write(self, data: bytes, on_room: Callable[[], None]) -> bool:
        """Pass `data` on; False when some had to be kept: send no more until `on_room` is called."""
        if not self._open:
            return True
        self._pending += data
        self._flush()
        if self._pending:
            self._on_room = on_room
            return False
        return True

    def close(self) -> None:
        """End of file for the container, once it has read what is pending (a terminal gets its end-of-file character)."""
        if self._is_terminal:
            self.write(b"\x04", lambda: None)
            return
        self._closing = True
        if self._open and not self._pending:
            self._shut()

    def _flush(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            if not self._loop.watches(self._fd):
                self._loop.add(self._fd, self._flush, WRITABLE)
            return
        except OSError:  # EPIPE, EIO: the container closed its stdin; what is sent to it goes nowhere
            self._pending = b""
            self._closing = True
        self._loop.remove(self._fd)
        if self._closing:
            self._shut()
        if self._on_room is not None:
            on_room, self._on_room = self._on_room, None
            on_room()

    def _shut(self) -> None:
        self._open = False
        os.close(self._fd)
