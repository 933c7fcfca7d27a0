"""Take apart what a container has on the host; shared by `remove`, `--rm` and undoing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from aethel_d.engine.context import Engine
from aethel_d.engine.model import Container
from aethel_run.cgroup.tree import Cgroup
from aethel_storage import snapshots


def remove_locked(engine: Engine, container: Container) -> None:
    """Remove a container that does not run; the caller holds its lock. Safe to repeat.

    The record goes last: what fails half-way can be removed again by the same command.
    """
    release_runtime(engine, container.id)
    snapshots.remove(engine.layout.container(container.id))
    engine.containers.remove(container.id)
    engine.locks.forget(container.id)


def release_runtime(engine: Engine, container_id: str) -> None:
    """Give back what a start took: address, cgroup and bundle."""
    endpoint = engine.leases.find(container_id)
    if endpoint is not None:
        engine.network.detach(endpoint)
        engine.leases.release(container_id)
    Cgroup(engine.cgroup_path(container_id)).remove()
    remove_directory(engine.layout.container(container_id).bundle)


def remove_directory(path: Path) -> None:
    """Remove a directory of our own, whole; nothing when it is not there."""
    if os.path.lexists(path):
        shutil.rmtree(path)
