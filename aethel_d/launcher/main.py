"""The launcher's whole life: receive a launch, fork a monitor, receive the next.

Everything a monitor needs is imported here, before the fork, so that a fork is all it costs (about 1 ms) and its pages
are shared.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from aethel_common import fdsocket
from aethel_common.linux import processes
from aethel_d.monitor import main as monitor
from aethel_d.monitor import protocol
from aethel_run.seccomp import compile as _  # noqa: F401 -- used by every monitor, and imported late by who may do without

SOCKET_FD = 3
"""Where the daemon puts our end of the socket; posix_spawn(3) file actions."""


def serve(sock: socket.socket) -> None:
    """Fork a monitor for each launch, until the daemon's end is closed."""
    while True:
        message, fds = fdsocket.receive(sock)
        if not message:
            return
        if os.fork() == 0:
            sock.close()
            _become_monitor(message, fds[0])
        for fd in fds:
            os.close(fd)


def _become_monitor(message: bytes, conversation_fd: int) -> None:
    """Never returns: the launcher's loop must not run twice."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        launch = protocol.from_daemon(message)
        assert isinstance(launch, protocol.Launch)
        with socket.socket(fileno=conversation_fd) as conversation:
            code = monitor.run(launch, conversation)
    finally:
        os._exit(code)


def main() -> None:
    """Entry point: `python -I -m aethel_d.launcher`."""
    # A session of its own: Ctrl-C in the daemon's terminal is for the daemon.
    os.setsid()
    processes.set_process_name("aethel:launcher")
    # The kernel reaps monitors for us; a launcher that waited would have to be told when.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.disable()  # a collection in a forked monitor would touch, and so copy, every page
    gc.freeze()
    with socket.socket(fileno=SOCKET_FD) as sock:
        sock.set_inheritable(False)
        serve(sock)
    sys.exit(0)
