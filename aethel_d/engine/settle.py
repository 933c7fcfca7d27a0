"""After a container has ended: record how, give back what it held, tell those who wait."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from aethel_common import jsonfile, names
from aethel_common.errors import AethelError, NotFound
from aethel_d.engine import removal
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Container, Exit
from aethel_d.monitor.protocol import ExitState
from aethel_run.cgroup.tree import Cgroup

log = logging.getLogger(__name__)

_KILLED = 137


def settle(engine: Engine, container_id: str) -> None:
    """Bring the records in line with the end of a run. Safe to repeat; called when its monitor says so or is gone."""
    with engine.locks.of(container_id):
        try:
            container = engine.containers.get(container_id)
        except NotFound:
            return
        if container.run is None or container.exit is not None:
            return
        end = read_exit(engine.layout.container(container_id).exit) or _end_without_monitor(engine, container)
        container = engine.containers.exited(container_id, end)
        release(engine, container)
        log.info("container %s ended with %d", names.short(container_id), end.code)
        if container.config.auto_remove:
            _remove(engine, container)
    engine.ends.tell(container_id, end)


def read_exit(path: Path) -> Exit | None:
    """What the monitor wrote down, if it did."""
    try:
        state = jsonfile.read(path, ExitState)
    except FileNotFoundError:
        return None
    return Exit(code=state.code, signal=state.signal, finished_ns=state.finished_ns, oom_killed=state.oom_killed)


def release(engine: Engine, container: Container) -> None:
    """Give back what only a running container needs: its address. The veth went with its namespace."""
    engine.leases.release(container.id)


def _end_without_monitor(engine: Engine, container: Container) -> Exit:
    """Its monitor is gone without a word: nothing watches it, so it may not go on."""
    cgroup = Cgroup(engine.cgroup_path(container.id))
    cgroup.kill()
    cgroup.wait_empty(10)
    cgroup.remove()
    log.warning("the monitor of container %s was killed", names.short(container.id))
    return Exit(code=_KILLED, signal=9, finished_ns=time.time_ns(), error="its monitor was killed")


def _remove(engine: Engine, container: Container) -> None:
    try:
        removal.remove_locked(engine, container)
    except (AethelError, OSError) as error:
        log.error("container %s could not be removed: %s", names.short(container.id), error)
