"""The daemon's end of the launcher: start it, ask it, replace it when it died."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading

from aethel_common import fdsocket
from aethel_common.errors import Unavailable
from aethel_d.launcher.main import SOCKET_FD
from aethel_d.monitor import protocol

log = logging.getLogger(__name__)


class Launcher:
    """One launcher process at a time, started when first needed and again whenever it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """The process id of a living launcher; starts one if need be."""
        with self._lock:
            self._ensure()
            return self._pid

    def launch(self, launch: protocol.Launch) -> socket.socket:
        """Have a monitor forked; return our end of the conversation with it. Raises Unavailable."""
        ours, theirs = fdsocket.pair()
        try:
            with theirs:
                self._send(protocol.encode(launch), theirs.fileno())
        except BaseException:
            ours.close()
            raise
        return ours

    def close(self) -> None:
        """End the launcher; monitors go on."""
        with self._lock:
            self._forget()

    def _send(self, message: bytes, fd: int) -> None:
        for _ in range(2):
            with self._lock:
                try:
                    fdsocket.send(self._ensure(), message, [fd])
                    return
                except (BrokenPipeError, ConnectionResetError):
                    self._forget()
        raise Unavailable("the launcher ends as soon as it is started", hint="see the daemon's log")

    def _ensure(self) -> socket.socket:
        if self._socket is not None and not self._is_gone():
            return self._socket
        self._forget()
        ours, theirs = fdsocket.pair()
        with theirs:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-m", "aethel_d.launcher"],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), SOCKET_FD),
                ],
                setsigmask=(),
            )
        log.debug("launcher %d started", self._pid)
        self._socket = ours
        return ours

    def _is_gone(self) -> bool:
        pid, _ = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            log.warning("launcher %d died; it is replaced", pid)
            self._pid = 0
        return pid != 0

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)  # at once, even if it was stopped; its monitors go on
            os.waitpid(self._pid, 0)
            self._pid = 0
