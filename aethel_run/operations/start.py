"""start ID: run the user's program. runtime.md#start"""

from __future__ import annotations

import socket

from aethel_common import fdsocket
from aethel_common.errors import AethelError, InvalidSpec, WrongState
from aethel_run.lifecycle import acts
from aethel_run.operations import kill
from aethel_run.process import conversation
from aethel_run.spec.state import Status
from aethel_run.state import Container


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
            acts.open_gate(sock)
            # Whoever comes next must not wait at a gate where nobody is.
            container.gate.unlink()
            conversation.await_execve(sock)
    if container.spec.hooks.poststart:
        _run_poststart_hooks(container)


def _connect(container: Container) -> socket.socket:
    try:
        return fdsocket.connect(container.gate)
    except (FileNotFoundError, ConnectionRefusedError):
        raise WrongState("cannot start a container that has stopped") from None


def _run_poststart_hooks(container: Container) -> None:
    state = container.state().at(Status.RUNNING, container.record.pid)
    try:
        acts.run_poststart_hooks(container.spec, state)
    except AethelError:
        kill.kill_all(container, 9)
        raise
