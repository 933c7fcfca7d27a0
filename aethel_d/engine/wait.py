"""wait: until a container has ended and everything about it is settled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aethel_common.errors import TimedOut, Unavailable
from aethel_d.engine import look
from aethel_d.engine.cancel import Cancel, wait_any
from aethel_d.engine.context import Ending, Engine
from aethel_d.engine.model import Exit, Status


def wait(engine: Engine, wanted: str, cancel: Cancel) -> Exit:
    """How it ended; at once if it has already. Raises Unavailable when `cancel` is set first."""
    container_id = engine.containers.find(wanted)
    with expecting(engine, container_id) as ending:
        # Looked at after the registration: an end in between is told.
        container = engine.containers.get(container_id)
        if container.exit is not None and look.status_of(engine, container) is Status.STOPPED:
            return container.exit
        wait_any(ending.done, cancel)
        if ending.exit is None:
            raise Unavailable("the wait was given up")
        return ending.exit


def settled(engine: Engine, container_id: str, ending: Ending, *, seconds: float) -> Exit:
    """The end of a container that is known to be ending. Raises TimedOut."""
    wait_any(ending.done, seconds=seconds)
    if ending.exit is None:
        raise TimedOut(f"container {container_id[:12]} does not end")
    return ending.exit


@contextmanager
def expecting(engine: Engine, container_id: str) -> Iterator[Ending]:
    """Be told of the next end, while the block lasts."""
    ending = engine.ends.expect(container_id)
    try:
        yield ending
    finally:
        engine.ends.forget(container_id, ending)
