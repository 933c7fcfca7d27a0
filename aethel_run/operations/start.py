"""start ID: run the user's program. runtime.md#start"""

from __future__ import annotations

import os
import socket

from aethel_common import fdsocket
from aethel_common.errors import AethelError, InvalidSpec, WrongState
from aethel_common.process import open_pidfd
from aethel_run.lifecycle import gate
from aethel_run.operations import kill
from aethel_run.process import conversation, filters
from aethel_run.state import Container
from aethel_run.status import Status


def start(container: Container) -> None:
    """Open the gate; returns once execve has happened and the poststart hooks went well.

    Raises WrongState when it is not `created`; CommandNotFound, CannotExecute, StepFailed: the container is stopped then.
    """
    with container.locked():
        status = container.status
        if status is not Status.CREATED:
            raise WrongState(f"cannot start a container in the {status} state")
        if container.spec.process is None:
            raise InvalidSpec("config.json: process: not set, so there is nothing to start")
        with _connect(container) as sock:
            gate.open_gate(sock)
            # Whoever comes next must not wait at a gate where nobody is.
            container.gate.unlink()
            _await_execve(container, sock)
    if container.spec.hooks.poststart:
        _run_poststart_hooks(container)


def _await_execve(container: Container, sock: socket.socket) -> None:
    record = container.record
    try:
        pidfd = open_pidfd(record.pid, record.start_time)
    except ProcessLookupError:
        raise WrongState("cannot start a container that has stopped") from None
    try:
        state = container.state(Status.CREATED)
        conversation.await_execve(sock, filters.giver(container.spec, pidfd, record.pid, state))
    finally:
        os.close(pidfd)


def _connect(container: Container) -> socket.socket:
    try:
        return fdsocket.connect(container.gate)
    except (FileNotFoundError, ConnectionRefusedError):
        raise WrongState("cannot start a container that has stopped") from None


def _run_poststart_hooks(container: Container) -> None:
    state = container.state(Status.RUNNING)
    try:
        gate.run_poststart_hooks(container.spec, state)
    except AethelError:
        kill.kill_all(container, 9)
        raise
