"""pause and resume: every process of a container, at once. kernel cgroup-v2.rst, cgroup.freeze"""

from __future__ import annotations

from aethel_common.errors import Unsupported, WrongState
from aethel_run.cgroup import freezer
from aethel_run.cgroup.tree import Cgroup
from aethel_run.state import Container
from aethel_run.status import Status


def pause(container: Container) -> None:
    """Hold a container that is created or running. Raises WrongState, Unsupported (it has no cgroup), TimedOut."""
    with container.locked():
        if container.status not in (Status.CREATED, Status.RUNNING):
            raise WrongState(f"cannot pause a container in the {container.status} state: container not running")
        freezer.pause(_cgroup(container))


def resume(container: Container) -> None:
    """Let it go on. Raises WrongState when it is not paused."""
    with container.locked():
        if container.status is not Status.PAUSED:
            raise WrongState(f"container not paused: it is {container.status}")
        freezer.resume(_cgroup(container))


def _cgroup(container: Container) -> Cgroup:
    if container.cgroup is None:
        raise Unsupported(f"container {container.id} has no cgroup, and only a cgroup can be frozen")
    return container.cgroup
