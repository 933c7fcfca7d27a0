"""The launcher's whole life: fork a monitor, hand it the next launch, fork the next.

Everything a monitor needs is imported here, before the fork, so that its pages are shared. The fork comes before the
launch: it and what a process does first of all (some 3 ms together) are over when a container is wanted.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys

from aethel_common import fdsocket
from aethel_common.linux import processes
from aethel_d.monitor import main as monitor
from aethel_run.seccomp import compile as _  # noqa: F401 -- used by every monitor, and imported late by who may do without

SOCKET_FD = 3
"""Where the daemon puts our end of the socket; posix_spawn(3) file actions."""


def serve(sock: socket.socket) -> None:
    """Keep a monitor standing by, and hand it the next launch, until the daemon's end is closed."""
    while True:
        standby = _fork_monitor(sock)
        message, fds = fdsocket.receive(sock)
        if not message:
            return
        try:
            fdsocket.send(standby, message, fds)
        except BrokenPipeError:  # somebody killed it
            standby = _fork_monitor(sock)
            fdsocket.send(standby, message, fds)
        for fd in fds:
            os.close(fd)
        # A fork would be in the way of the container that is being made now; unless the next launch is here already.
        select.select([sock, standby], [], [])
        standby.close()


def _fork_monitor(sock: socket.socket) -> socket.socket:
    """A monitor that waits for a launch; what is sent to the socket is its launch, and the socket ends with the set-up."""
    ours, theirs = fdsocket.pair()
    with theirs:
        if os.fork() == 0:
            sock.close()
            ours.close()
            _become_monitor(theirs)
    return ours


def _become_monitor(launches: socket.socket) -> None:
    """Never returns: the launcher's loop must not run twice."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        code = monitor.run(launches)
    finally:
        os._exit(code)


def main() -> None:
    """Entry point: `python -I -m aethel_d.launcher`."""
    # A session of its own: Ctrl-C in the daemon's terminal is for the daemon.
    os.setsid()
    processes.set_process_name("aethel:launcher")
    # The kernel reaps monitors for us; a launcher that waited would have to be told when.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # For the monitors: set here, it costs none of them the pages that it writes to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    gc.collect()
    gc.disable()  # a collection in a forked monitor would touch, and so copy, every page
    gc.freeze()
    with socket.socket(fileno=SOCKET_FD) as sock:
        sock.set_inheritable(False)
        serve(sock)
    sys.exit(0)
