"""The front: owns the listening socket, knows who calls, and passes bytes to gRPC and back.

gRPC can neither take over a listening socket nor tell the peer's ids. So the front accepts, asks the kernel who it is
(SO_PEERCRED, man 7 unix), connects to one of gRPC's own sockets in a 0700 directory (one serves, the other refuses), and
copies both ways in one thread.
"""

from __future__ import annotations

import errno
import grp
import logging
import os
import pwd
import queue
import selectors
import socket
import stat
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

from aethel_common.errors import AlreadyExists, InvalidArgument
from aethel_d.splice import Splice

log = logging.getLogger(__name__)

_BACKLOG: Final = 512
_SO_PEERGROUPS: Final = 59
_MOST_GROUPS: Final = 256
"""Python reads at most 1024 bytes of a socket option."""


def listen(path: Path, group: str) -> socket.socket:
    """A socket at `path`, 0660 and of that group if it exists; a stale one is replaced.

    Raises AlreadyExists when a daemon answers there, InvalidArgument when it is something else than a socket.
    """
    _refuse_other_files(path)
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


def _refuse_other_files(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidArgument(f"{path} is there already, and is not a socket")


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
    """Accepts on one socket; copies to and from `upstream` for those who may call, `refusal` for the others."""

    def __init__(self, listener: socket.socket, *, upstream: str, refusal: str, group: str) -> None:
        self._listener = listener
        self._upstream = upstream
        self._refusal = refusal
        self._group = group
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._stopping = False
        self._actions: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        """What other threads want done on ours: the selector is not theirs to touch."""
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, self._act)
        self._thread.start()

    def stop_accepting(self) -> None:
        """Leave new callers in the socket's queue: whoever serves it next answers them."""
        self._on_thread(lambda: self._selector.unregister(self._listener))

    def close(self) -> None:
        """Drop every connection."""
        self._stopping = True
        self._wake.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if key.fileobj not in (self._listener, self._woken):
                cast(socket.socket, key.fileobj).close()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _on_thread(self, action: Callable[[], object]) -> None:
        done = threading.Event()
        self._actions.put(action)
        self._actions.put(done.set)
        self._wake.send(b"x")
        done.wait()

    def _act(self) -> None:
        self._woken.recv(1)
        while not self._actions.empty():
            self._actions.get()()

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                try:
                    key.data()
                except OSError as error:
                    log.debug("front: %s", error)
                except Exception:  # one connection's trouble is not everybody's: without this thread nobody is served
                    log.exception("front")

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
        if self._may(client, uid, gid):
            log.debug("a call of process %d, user %d, group %d", pid, uid, gid)
            self._connect(client, self._upstream)
        else:
            log.warning("refused a call of process %d, user %d, group %d", pid, uid, gid)
            self._connect(client, self._refusal)

    def _may(self, client: socket.socket, uid: int, gid: int) -> bool:
        """Root, the daemon's own user, and members of the group."""
        if uid in (0, os.geteuid()):
            return True
        wanted = _gid(self._group)
        return wanted is not None and (wanted == gid or wanted in _groups(client, uid, gid))

    def _connect(self, client: socket.socket, path: str) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(path)
        except OSError:
            server.close()
            client.close()
            raise
        for sock in (client, server):
            sock.setblocking(False)
        Splice(self._selector, client, server)


def _groups(client: socket.socket, uid: int, gid: int) -> Sequence[int]:
    """The supplementary groups that the caller's process has; SO_PEERGROUPS, Linux 4.13.

    If they are too many for that, those that the user database gives the user.
    """
    try:
        data = client.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    except OSError:
        try:
            return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
        except KeyError:
            return ()
    return struct.unpack(f"{len(data) // 4}I", data)
