"""remove: the reverse of create. Safe to repeat."""

from __future__ import annotations

from aethel_common.errors import WrongState
from aethel_d.engine import look, removal, settle, stop
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Status


def remove(engine: Engine, wanted: str, *, force: bool) -> str:
    """Remove a container and all it wrote; return its id. Raises WrongState when it runs and `force` is not set."""
    container_id = engine.containers.find(wanted)
    container = engine.containers.get(container_id)
    if look.status_of(engine, container) is Status.RUNNING:
        if not force:
            raise WrongState(f"container {container.name} is running", hint="stop it first, or use --force")
        stop.kill_and_wait(engine, container)
    settle.settle(engine, container_id)
    with engine.locks.of(container_id):
        removal.remove_locked(engine, container)
    return container_id
