"""The child's side of clone3: wait, set up, say so, wait for the gate, become the user's program.

Everything is imported before the clone: after pivot_root the standard library is out of reach.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import NoReturn

from aethel_common import fdsocket
from aethel_common.errors import AethelError
from aethel_run import sync
from aethel_run.init.context import Init
from aethel_run.init.plan import SETUP_STEPS, START_STEPS
from aethel_run.init.step import Failure, run_steps
from aethel_run.spec.config import Spec


def run(spec: Spec, stdio: tuple[int, int, int] | None, sock: socket.socket) -> NoReturn:
    """Never returns: ends in execve or in _exit, so that the parent's code does not run twice."""
    try:
        init = _await_go(spec, stdio, sock)
        if init is None:
            os._exit(1)
        run_steps(SETUP_STEPS, init)
        fdsocket.send(sock, sync.encode(sync.Ready()))
        message, _ = fdsocket.receive(sock)
        if not message:
            os._exit(1)
        run_steps(START_STEPS, init)
    except Failure as failure:
        _tell(sock, failure)
    finally:
        os._exit(1)


def _await_go(spec: Spec, stdio: tuple[int, int, int] | None, sock: socket.socket) -> Init | None:
    message, fds = fdsocket.receive(sock)
    if not message:
        return None
    go = sync.to_init(message)
    assert isinstance(go, sync.Go)
    sources: Mapping[int, int] = dict(zip(go.binds, fds[1:], strict=True))
    return Init(spec=spec, process=go.process, rootfs_fd=fds[0], sources=sources, stdio=stdio, sync=sock)


def _tell(sock: socket.socket, failure: Failure) -> None:
    cause = failure.cause
    if isinstance(cause, AethelError):
        kind, number, text = type(cause).__name__, 0, cause.message
    elif isinstance(cause, OSError):
        kind, number, text = "StepFailed", cause.errno or 0, str(cause).partition("] ")[2] or str(cause)
    else:
        kind, number, text = "StepFailed", 0, repr(cause)
    message = sync.Failed(kind=kind, step=failure.step.name, man=failure.step.man, errno=number, text=text)
    try:
        fdsocket.send(sock, sync.encode(message))
    except OSError:
        pass  # the parent is gone, and reads the exit status if anything
