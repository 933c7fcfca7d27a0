"""exec: a second process in a container that runs. runtime.md has no word for it; every runtime has the verb."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from aethel_common import fdsocket
from aethel_common.linux import processes
from aethel_common.linux.namespaces import CloneFlags
from aethel_common.process import open_pidfd, start_time
from aethel_common.undo import Undo
from aethel_run import sync
from aethel_run.cgroup.tree import Cgroup
from aethel_run.init import main as init
from aethel_run.process import affinity, attributes, conversation, filters, joins, preconditions, stdio
from aethel_run.process.children import kill_and_reap
from aethel_run.process.spawn import Birth, Child, spawn
from aethel_run.spec.config import Spec
from aethel_run.spec.process import Process
from aethel_run.spec.state import NOBODY, State
from aethel_run.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The one to join: its document, and its first process by number and start time."""

    spec: Spec
    pid: int
    start_time: int
    cgroup: Cgroup | None = None
    state: State = NOBODY
    """What a seccomp agent is told of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinOptions:
    """What a caller adds to the process."""

    stdio: tuple[int, int, int] | None = (0, 1, 2)
    preserved_fds: int = 0
    final_process: Callable[[int, Process], Process] | None = None
    """The last word on what runs, with a descriptor of the container's root."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The process, which runs by now."""

    pid: int
    pidfd: int
    start_time: int
    console_fd: int | None


def join(container: Container, process: Process, options: JoinOptions) -> Joined:
    """Run `process` in the container; returns once execve has happened.

    Only for a process with one thread. Raises ProcessLookupError (the container has ended), CommandNotFound,
    CannotExecute, StepFailed, OSError; nothing is left then.
    """
    preconditions.check_process(process)
    ours, theirs = fdsocket.pair()
    with Undo() as undo, ours, theirs:
        child = _spawn(container, process, options, ours, theirs)
        undo.later(lambda: kill_and_reap(child.pidfd))
        theirs.close()
        started = start_time(child.pid)
        process = _prepare(container, process, options, child)
        conversation.send_go(ours, sync.Go(process=process, binds=(), state=NOBODY), [])
        state = container.state.at(Status.RUNNING, container.pid)
        console_fd = conversation.await_execve(ours, filters.giver(container.spec, child.pidfd, child.pid, state))
        undo.keep()
    return Joined(child.pid, child.pidfd, started, console_fd)


def _spawn(
    container: Container, process: Process, options: JoinOptions, ours: socket.socket, theirs: socket.socket
) -> Child:
    given = init.Birthright(
        spec=container.spec,
        stdio=None if process.terminal else options.stdio,
        sync=theirs,
        filter=filters.compiled(container.spec),
        preserved_fds=options.preserved_fds,
    )

    def body() -> NoReturn:
        ours.close()  # or its end of file, the parent's death, would never be seen
        processes.set_process_name("aethel:exec")
        os.umask(0o022)  # a working directory that it makes is open to every user
        init.run_joining(given)

    pidfd = open_pidfd(container.pid, container.start_time)
    cgroup_fd = container.cgroup.open() if container.cgroup is not None else None
    try:
        target = joins.target_of(container.pid, pidfd)
        with affinity.initial(process):
            return spawn(Birth(makes=CloneFlags(0), target=target, cgroup_fd=cgroup_fd), body)
    finally:
        os.close(pidfd)
        if cgroup_fd is not None:
            os.close(cgroup_fd)


def _prepare(container: Container, process: Process, options: JoinOptions, child: Child) -> Process:
    """What it cannot do for itself once it is inside."""
    affinity.set_final(child.pid, process)
    attributes.give(child.pid, process)
    if options.final_process is not None:
        # Through the child: it is in the container's mount namespace, and cannot end under our hands.
        root_fd = os.open(f"/proc/{child.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            process = options.final_process(root_fd, process)
        finally:
            os.close(root_fd)
    if options.stdio is not None:
        stdio.give(options.stdio, process, container.spec.linux)
    return process
