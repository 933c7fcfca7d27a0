"""Make a container's process: by one clone3, or, where namespaces are to be joined first, by way of a stage.

    parent                    stage                       init
    ------                    -----                       ----
    clone3 into the cgroup -> joins namespaces
                              time offsets
                              clone3 with CLONE_PARENT -> our child as well
           <----------------- pidfd, or what failed
    reaps it                  ends

The parent itself joins nothing: the hooks that it runs belong to the host.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from aethel_common import fdsocket
from aethel_common.errors import AethelError
from aethel_common.linux import namespaces, processes
from aethel_common.linux.namespaces import CloneFlags
from aethel_run import sync
from aethel_run.process import timens
from aethel_run.process.joins import Join, Target, enter, enter_target
from aethel_run.spec.linux import TimeOffset
from aethel_run.story import act


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """Where and how a process is born."""

    makes: CloneFlags
    """Namespaces for clone3."""
    joins: tuple[Join, ...] = ()
    target: Target | None = None
    """A process all of whose namespaces are to be joined."""
    time_offsets: Mapping[str, TimeOffset] | None = None
    """Of a new time namespace; None for no new one."""
    cgroup_fd: int | None = None
    as_sibling: bool = False
    """Our parent's child, not ours; without a stage."""

    @property
    def needs_stage(self) -> bool:
        """Whether something must be done before clone3 that the parent must not do to itself."""
        return bool(self.joins) or self.target is not None or self.time_offsets is not None


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours; `pid` as we see it. The pidfd is the holder's to close."""

    pid: int
    pidfd: int


@act(man="clone3(2) namespaces(7)")
def spawn(birth: Birth, body: Callable[[], NoReturn]) -> Child:
    """Fork the container's first process into its new namespaces and its cgroup, by one call.

    It runs `body`. Only for a process with one thread. Raises OSError, AethelError.
    """
    if birth.needs_stage:
        return _by_stage(birth, body)
    flags = birth.makes | CloneFlags.PARENT if birth.as_sibling else birth.makes
    return Child(*_clone(flags, birth.cgroup_fd, body))


def _clone(flags: CloneFlags, cgroup_fd: int | None, body: Callable[[], NoReturn]) -> tuple[int, int]:
    pid, pidfd = namespaces.clone3(flags, cgroup_fd)
    if pid == 0:
        _run(body)
    return pid, pidfd


def _run(body: Callable[[], NoReturn]) -> NoReturn:
    """The parent's code must not run a second time, whatever `body` does."""
    try:
        body()
    finally:
        os._exit(1)


def _by_stage(birth: Birth, body: Callable[[], NoReturn]) -> Child:
    ours, theirs = fdsocket.pair()
    with ours:
        with theirs:
            _, stage_pidfd = _clone(CloneFlags(0), birth.cgroup_fd, lambda: _stage(birth, body, theirs))
        try:
            message, fds = fdsocket.receive(ours)
        finally:
            os.waitid(os.P_PIDFD, stage_pidfd, os.WEXITED)
            os.close(stage_pidfd)
    if not message:
        raise AethelError("the process that joins the namespaces died", hint="out of memory?")
    answer = sync.from_init(message)
    if isinstance(answer, sync.Failed):
        raise answer.error()
    return Child(processes.pid_of(fds[0]), fds[0])


def _stage(birth: Birth, body: Callable[[], NoReturn], sock: socket.socket) -> NoReturn:
    # Nobody inside may look into a process that still has our privileges (the class of CVE-2016-9962).
    processes.set_dumpable(False)
    try:
        enter(birth.joins)
        if birth.target is not None:
            enter_target(birth.target)
        if birth.time_offsets is not None:
            _make_time_namespace(birth.time_offsets)
        pid, pidfd = namespaces.clone3(birth.makes | CloneFlags.PARENT)
        if pid == 0:
            sock.close()
            _run(body)
        fdsocket.send(sock, sync.encode(sync.Cloned()), [pidfd])
    except AethelError as error:
        fdsocket.send(sock, sync.encode(sync.Failed.of("join_namespaces", "time_namespaces(7)", error)))
    except OSError as error:
        fdsocket.send(sock, sync.encode(sync.Failed.of_os("join_namespaces", "setns(2) namespaces(7)", error)))
    os._exit(0)


def _make_time_namespace(offsets: Mapping[str, TimeOffset]) -> None:
    """Its clocks can be set until the first process is in it: our next child. man 7 time_namespaces"""
    namespaces.unshare(CloneFlags.NEWTIME)
    if offsets:
        timens.write_offsets("self", offsets)
