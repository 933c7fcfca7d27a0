"""stop and kill: a signal through the container's monitor; SIGKILL through its cgroup, which nothing survives."""

from __future__ import annotations

import signal

from aethel_common import names
from aethel_common.errors import TimedOut, WrongState
from aethel_d.engine import look
from aethel_d.engine.cancel import wait_any
from aethel_d.engine.context import Engine
from aethel_d.engine.model import DEFAULT_STOP_TIMEOUT, Container, Status
from aethel_d.engine.wait import expecting, settled
from aethel_d.monitor.client import Connection
from aethel_d.monitor.protocol import Signal
from aethel_run.cgroup.tree import Cgroup

_KILL_SECONDS = 15.0


def stop(engine: Engine, wanted: str, timeout_seconds: int | None = None, signal_name: str = "") -> None:
    """Its stop signal, then SIGKILL after the timeout. A container that does not run is left as it is.

    Raises NotFound, InvalidArgument, TimedOut (it outlived SIGKILL).
    """
    number = names.signal_number(signal_name) if signal_name else 0
    container = engine.containers.get(engine.containers.find(wanted))
    asked = timeout_seconds if timeout_seconds is not None else container.config.stop_timeout_seconds
    timeout = DEFAULT_STOP_TIMEOUT if asked is None else asked
    with expecting(engine, container.id) as ending:
        if look.status_of(engine, container) is not Status.RUNNING:
            return
        try:
            send(engine, container, number or container.stop_signal)
        except (WrongState, TimedOut):
            pass  # it ends already, or its monitor is stuck: the cgroup needs no monitor
        if not wait_any(ending.done, seconds=timeout):
            kill_all(engine, container)
        settled(engine, container.id, ending, seconds=_KILL_SECONDS)


def kill(engine: Engine, wanted: str, signal_name: str = "") -> None:
    """Send a signal, SIGKILL unless told otherwise. Raises WrongState when it does not run."""
    number = names.signal_number(signal_name or "KILL")
    container = engine.containers.get(engine.containers.find(wanted))
    if look.status_of(engine, container) is not Status.RUNNING:
        raise WrongState(f"container {container.name} is not running")
    if number == signal.SIGKILL:
        kill_and_wait(engine, container)
    else:
        send(engine, container, number)


def kill_and_wait(engine: Engine, container: Container) -> None:
    """SIGKILL to all of it, and wait until it is settled."""
    with expecting(engine, container.id) as ending:
        if look.status_of(engine, container) is Status.RUNNING:
            kill_all(engine, container)
            settled(engine, container.id, ending, seconds=_KILL_SECONDS)


def kill_all(engine: Engine, container: Container) -> None:
    """SIGKILL to every process of it at once."""
    Cgroup(engine.cgroup_path(container.id)).kill()


def send(engine: Engine, container: Container, number: int) -> None:
    """A signal to its first process. Raises WrongState, TimedOut."""
    with Connection(engine.layout.container(container.id).monitor_socket) as connection:
        connection.ask(Signal(number=number))
