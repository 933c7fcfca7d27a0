"""kill ID SIGNAL: to its first process, or to all of them. runtime.md#kill"""

from __future__ import annotations

import os
import signal

from aethel_common.errors import WrongState
from aethel_common.linux import processes
from aethel_common.process import open_pidfd
from aethel_run.state import Container
from aethel_run.status import Status


def kill(container: Container, number: int, *, everyone: bool = False) -> None:
    """Signal a container that is created, running or paused. Raises WrongState.

    Without a PID namespace of its own, SIGKILL goes to all: the first one's end would not be the others'.
    """
    if everyone or (container.record.shares_pids and number == signal.SIGKILL):
        if container.status is Status.STOPPED and not _pids(container):
            raise WrongState("container not running")
        kill_all(container, number)
        return
    if container.status is Status.STOPPED:
        raise WrongState("container not running")  # also when nobody has reaped it yet
    try:
        pidfd = open_pidfd(container.record.pid, container.record.start_time)
    except ProcessLookupError:
        raise WrongState("container not running") from None
    try:
        processes.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise WrongState("container not running") from None
    finally:
        os.close(pidfd)


def kill_all(container: Container, number: int) -> None:
    """Signal every process of its cgroup; without a cgroup, the first one alone."""
    cgroup = container.cgroup
    if cgroup is None:
        os.kill(container.record.pid, number)
    elif number == signal.SIGKILL:
        cgroup.kill()
    else:
        for pid in _pids(container):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # it was faster


def _pids(container: Container) -> list[int]:
    return container.cgroup.pids() if container.cgroup is not None else []
