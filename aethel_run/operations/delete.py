"""delete ID: give back what create took, then run the poststop hooks. runtime.md#delete"""

from __future__ import annotations

import signal
from collections.abc import Callable

from aethel_common.errors import TimedOut, WrongState
from aethel_common.process import await_end
from aethel_run.operations import kill
from aethel_run.state import Container
from aethel_run.status import Status

_KILL_SECONDS = 10.0


def delete(container: Container, warn: Callable[[str], None], *, force: bool = False) -> None:
    """Remove a container that has stopped; with `force` end it first. Raises WrongState, TimedOut.

    One that was created and never started may be deleted only with force, as the specification says. `warn` is told of
    a poststop hook that fails: runtime.md#lifecycle lets the rest go on.
    """
    with container.locked():
        if container.status is Status.CREATING:
            container.forget()  # its creator died half-way
            return
        if container.status is not Status.STOPPED:
            if not force:
                raise WrongState(f"cannot delete container {container.id} that is not stopped: {container.status}")
            _end(container)
        run_hooks = _poststop(container, warn)  # read before the directory goes
        _remove_cgroup(container)
        _remove_rdt(container)
        container.forget()
    run_hooks()


def _poststop(container: Container, warn: Callable[[str], None]) -> Callable[[], None]:
    if not container.record.has_poststop:
        return lambda: None
    from aethel_run import hooks  # rarely needed, and a document to be read

    due, state = container.spec.hooks.poststop, container.state(Status.STOPPED)
    return lambda: hooks.run_each("poststop", due, state, warn)


def _end(container: Container) -> None:
    kill.kill_all(container, signal.SIGKILL)
    if not await_end(container.record.pid, container.record.start_time, _KILL_SECONDS):
        raise TimedOut(f"container {container.id} does not end")


def _remove_cgroup(container: Container) -> None:
    cgroup = container.cgroup
    if cgroup is None:
        return
    # Without a PID namespace some may have outlived the first one.
    cgroup.kill()
    cgroup.wait_empty(_KILL_SECONDS)
    if container.record.cgroup_manager == "systemd":
        from aethel_run.cgroup.managers.manager import Kind  # brings the document's types
        from aethel_run.operations import cgroups

        cgroups.manager(Kind.SYSTEMD, container.spec, container.id).remove(cgroup)
    else:
        cgroup.remove()


def _remove_rdt(container: Container) -> None:
    record = container.record
    if record.rdt_class or record.rdt_monitor:
        from aethel_run.process import rdt  # brings the document's types

        rdt.remove(rdt.Assignment(made=record.rdt_class, monitor=record.rdt_monitor))
