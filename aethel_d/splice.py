"""Two connected sockets, copied into each other without a thread of their own. man 7 unix"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from typing import Final

_CHUNK: Final = 64 * 1024


class Splice:
    """Copies with one chunk in hand a direction: who is slow makes who is fast wait. Owns both sockets."""

    def __init__(self, selector: selectors.BaseSelector, one: socket.socket, other: socket.socket) -> None:
        self._selector = selector
        self._ends = (one, other)
        self._pending = {one: b"", other: b""}
        """What is still to be written to each."""
        self._ended = {one: False, other: False}
        """Whose end of file has been read."""
        self._closed = False
        for sock in self._ends:
            selector.register(sock, selectors.EVENT_READ, self._callback(sock))

    def _callback(self, sock: socket.socket) -> Callable[[], None]:
        return lambda: self._ready(sock)

    def _ready(self, sock: socket.socket) -> None:
        if self._closed:
            return  # the other end was ready in the same round, and ended it
        try:
            if self._pending[sock]:
                self._write(sock)
            other = self._ends[self._ends[0] is sock]
            if not self._pending[other] and not self._ended[sock]:
                self._read(sock, other)
            self._watch()
        except OSError:
            self._close()

    def _read(self, source: socket.socket, target: socket.socket) -> None:
        try:
            data = source.recv(_CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._ended[source] = True
            target.shutdown(socket.SHUT_WR)
            return
        self._pending[target] = data
        self._write(target)

    def _write(self, target: socket.socket) -> None:
        try:
            sent = target.send(self._pending[target], socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        self._pending[target] = self._pending[target][sent:]

    def _watch(self) -> None:
        if all(self._ended.values()) and not any(self._pending.values()):
            self._close()
            return
        for sock in self._ends:
            other = self._ends[self._ends[0] is sock]
            events = selectors.EVENT_WRITE if self._pending[sock] else 0
            if not self._ended[sock] and not self._pending[other]:
                events |= selectors.EVENT_READ
            self._register(sock, events)

    def _register(self, sock: socket.socket, events: int) -> None:
        known = sock in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(sock)
        elif known:
            if self._selector.get_key(sock).events != events:
                self._selector.modify(sock, events, self._callback(sock))
        else:
            self._selector.register(sock, events, self._callback(sock))

    def _close(self) -> None:
        self._closed = True
        for sock in self._ends:
            if sock in self._selector.get_map():
                self._selector.unregister(sock)
            sock.close()
