"""The front: owns the listening socket, knows who calls, and passes bytes to gRPC and back.

gRPC can neither take over a listening socket nor tell the peer's ids. So the front accepts, asks the kernel who it is
(SO_PEERCRED, man 7 unix), connects to gRPC's own socket in a 0700 directory, and copies both ways in one thread.
"""

from __future__ import annotations

import errno
import grp
import logging
import os
import pwd
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aethel_common.errors import AlreadyExists

log = logging.getLogger(__name__)

_CHUNK: Final = 64 * 1024
_BACKLOG: Final = 512


def listen(path: Path, group: str) -> socket.socket:
    """A socket at `path`, 0660 and of that group if it exists; a stale one is replaced. Raises AlreadyExists."""
    _refuse_if_answered(path)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    gid = _gid(group)
    if gid is not None:
        os.chown(path, 0, gid)
    os.chmod(path, 0o660)
    sock.listen(_BACKLOG)
    return sock


def _refuse_if_answered(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
    raise AlreadyExists(f"somebody answers on {path} already", hint="stop the other daemon, or use another --socket")


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


class Front:
    """Accepts on one socket, copies to and from another."""

    def __init__(self, listener: socket.socket, upstream: str, group: str) -> None:
        self._listener = listener
        self._upstream = upstream
        self._group = group
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, lambda: None)
        self._thread.start()

    def stop_accepting(self) -> None:
        """Leave new callers in the socket's queue: whoever serves it next answers them."""
        self._on_thread(lambda: self._selector.unregister(self._listener))

    def close(self) -> None:
        """Drop every connection."""
        self._stopping = True
        self._wake.send(b"x")
        self._thread.join()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _on_thread(self, action: Callable[[], object]) -> None:
        done = threading.Event()

        def act() -> None:
            self._woken.recv(1)
            action()
            done.set()

        self._selector.modify(self._woken, selectors.EVENT_READ, act)
        self._wake.send(b"x")
        done.wait()

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                try:
                    key.data()
                except OSError as error:
                    log.debug("front: %s", error)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                threading.Event().wait(0.05)  # do not spin: a descriptor comes free when a caller leaves
            raise
        pid, uid, gid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if not self._may(uid, gid):
            log.warning("refused a call of process %d, user %d", pid, uid)
            client.close()
            return
        log.debug("a call of process %d, user %d, group %d", pid, uid, gid)
        self._connect(client)

    def _may(self, uid: int, gid: int) -> bool:
        """Root, the daemon's own user, and members of the group."""
        if uid in (0, os.geteuid()):
            return True
        wanted = _gid(self._group)
        if wanted is None:
            return False
        try:
            groups = os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
        except KeyError:
            groups = [gid]
        return wanted in groups

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(self._upstream)
        except OSError:
            server.close()
            client.close()
            raise
        for sock in (client, server):
            sock.setblocking(False)
        Splice(self._selector, client, server)


class Splice:
    """Two connected sockets, copied into each other with one chunk in hand a direction: who is slow makes who is fast wait."""

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
