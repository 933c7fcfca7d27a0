"""exec ID: another process in a container that runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aethel_common.errors import InvalidArgument, WrongState
from aethel_run.cgroup.tree import Cgroup
from aethel_run.lifecycle.join import Container as Running
from aethel_run.lifecycle.join import Joined, JoinOptions, join
from aethel_run.operations import console, notify
from aethel_run.operations.create import write_pid_file
from aethel_run.spec.process import Process
from aethel_run.state import Container
from aethel_run.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line adds to the process."""

    console_socket: str = ""
    pid_file: str = ""
    pidfd_socket: str = ""
    preserve_fds: int = 0
    ignore_paused: bool = False
    cgroup: str = ""
    """Below the container's own."""


def execute(container: Container, process: Process, options: Options) -> Joined:
    """Run it; our 0, 1 and 2 are its own unless it has a terminal. Raises WrongState, CommandNotFound, ..."""
    status = container.status
    if status is Status.PAUSED and not options.ignore_paused:
        raise WrongState("cannot exec in a paused container (use --ignore-paused to override)")
    if status not in (Status.RUNNING, Status.PAUSED, Status.CREATED):
        raise WrongState("cannot exec in a stopped container")
    if options.console_socket and not process.terminal:
        raise InvalidArgument("cannot use console socket if the process has no terminal")
    record = container.record
    running = Running(
        spec=container.spec,
        pid=record.pid,
        start_time=record.start_time,
        cgroup=_cgroup(container, options.cgroup),
        state=container.state(status),
    )
    preserved = options.preserve_fds + notify.passed_sockets()
    try:
        joined = join(running, process, JoinOptions(preserved_fds=preserved))
    except ProcessLookupError:
        raise WrongState("cannot exec in a stopped container") from None
    _tell(joined, options)
    return joined


def _tell(joined: Joined, options: Options) -> None:
    if joined.console_fd is not None and options.console_socket:
        console.send(options.console_socket, joined.console_fd, "console")
        os.close(joined.console_fd)
    if options.pidfd_socket:
        console.send(options.pidfd_socket, joined.pidfd, "pidfd")
    if options.pid_file:
        write_pid_file(options.pid_file, joined.pid)


def _cgroup(container: Container, below: str) -> Cgroup | None:
    """The container's own, or one below it that it has made."""
    if container.cgroup is None or not below:
        return container.cgroup
    if ".." in below.split("/"):
        raise InvalidArgument(f"--cgroup: {below!r} leads out of the container's own")
    path = container.cgroup.path / below.strip("/")
    if not path.is_dir():
        raise InvalidArgument(f"--cgroup: the container has no cgroup {below!r}")
    return Cgroup(Path(path))
