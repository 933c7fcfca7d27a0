"""After a start of the daemon: find what runs, settle what has ended, put away what belongs to nobody."""

from __future__ import annotations

import logging
from pathlib import Path

from aethel_common import jsonfile, names, process
from aethel_d.engine import removal, settle
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Container, Process, Run
from aethel_d.monitor.protocol import RunState
from aethel_run.cgroup.tree import Cgroup

log = logging.getLogger(__name__)


def recover(engine: Engine) -> None:
    """Bring the records in line with what is. Containers go on running; none is started."""
    containers = engine.containers.all()
    known = {container.id for container in containers}
    _put_away_strangers(engine, known)
    for container in containers:
        _recover_one(engine, _adopted(engine, container))


def _adopted(engine: Engine, container: Container) -> Container:
    """A start that the last daemon did not live to record is in run.json."""
    try:
        state = jsonfile.read(engine.layout.container(container.id).bundle / "run.json", RunState)
    except FileNotFoundError:
        return container
    run = Run(
        started_ns=state.started_ns,
        monitor=Process(pid=state.monitor_pid, start_time=state.monitor_start_time),
        init=Process(pid=state.init_pid, start_time=state.init_start_time),
    )
    return container if container.run == run else engine.containers.started(container.id, run)


def _recover_one(engine: Engine, container: Container) -> None:
    if container.run is None or container.exit is not None:
        if engine.leases.find(container.id) is not None:
            log.info("container %s: undoing a start that was cut off", names.short(container.id))
            Cgroup(engine.cgroup_path(container.id)).kill()
            removal.release_runtime(engine, container.id)
        return
    monitor = container.run.monitor
    if process.is_alive(monitor.pid, monitor.start_time):
        engine.watch(container.id)
    else:
        settle.settle(engine, container.id)


def _put_away_strangers(engine: Engine, known: set[str]) -> None:
    """What a daemon left that was killed while it created or removed."""
    for lease in engine.leases.all():
        if lease.container_id not in known:
            engine.network.detach(lease)
            engine.leases.release(lease.container_id)
    for directory in (engine.layout.state / "containers", engine.layout.run / "containers"):
        for path in _children(directory):
            if path.name not in known:
                _put_away_cgroup(engine, path.name)
                removal.remove_directory(path)


def _put_away_cgroup(engine: Engine, container_id: str) -> None:
    cgroup = Cgroup(engine.cgroup_path(container_id))
    cgroup.kill()
    cgroup.remove()


def _children(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []
