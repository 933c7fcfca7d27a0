"""create: everything that the document asks for, up to just before the user's program; and `start`. runtime.md#lifecycle"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from aethel_common import fdsocket
from aethel_common.errors import AethelError
from aethel_common.linux import namespaces, processes
from aethel_common.linux.namespaces import CloneFlags
from aethel_common.process import start_time
from aethel_common.undo import Undo
from aethel_run import sync
from aethel_run.cgroup.tree import Cgroup
from aethel_run.init import main as init
from aethel_run.process import idmap
from aethel_run.process.sources import open_source
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import CLONE_FLAG, NamespaceType
from aethel_run.spec.mounts import meaning
from aethel_run.spec.process import Process

M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOptions:
    """What a caller adds to the document."""

    open_rootfs: Callable[[int | None], int]
    """Given the new user namespace (or None), the descriptor of a detached mount for the root."""
    cgroup: Cgroup | None = None
    """Where the container is born; made by the caller."""
    stdio: tuple[int, int, int] | None = (0, 1, 2)
    """To become its 0, 1 and 2; not used with a terminal."""
    namespaces_ready: Callable[[int], None] = lambda pid: None
    """Called with init's pid when its namespaces exist and its ids are mapped."""
    meanwhile: Callable[[], None] = lambda: None
    """Called while init sets up: for what the caller has to do anyhow."""
    as_sibling: bool = False
    """Whether init becomes a child of the caller's parent, which then reaps it: the caller may end first."""
    final_process: Callable[[int, Process], Process] = lambda root_fd, process: process
    """The last word on what runs, once the image's files can be read through the root's descriptor."""


@dataclass(slots=True)
class Created:
    """A container that waits at its gate."""

    pid: int
    pidfd: int
    start_time: int
    console_fd: int | None
    """Master of its terminal."""
    _sync: socket.socket = field(repr=False)

    def start(self) -> None:
        """Open the gate; returns once execve has happened.

        Raises CommandNotFound, CannotExecute or StepFailed; the container is then gone, and `abandon` still due.
        """
        fdsocket.send(self._sync, sync.encode(sync.Start()))
        message, _ = _receive(self._sync)
        self._sync.close()
        if message:
            failed = sync.from_init(message)
            assert isinstance(failed, sync.Failed)
            raise failed.error()

    def abandon(self) -> None:
        """Kill and reap init, and close everything."""
        self._sync.close()
        if self.console_fd is not None:
            os.close(self.console_fd)
        _kill_and_reap(self.pidfd)


def create(spec: Spec, options: CreateOptions) -> Created:
    """Build all that the document asks for. When a part fails, what was made is undone and the first error raised.

    Only for a process with one thread. Raises StepFailed, InvalidSpec, Unsupported, NotFound, OSError.
    """
    ours, theirs = fdsocket.pair()
    with Undo() as undo, theirs:
        undo.later(ours.close)
        pid, pidfd = _clone(spec, options, ours, theirs)
        undo.later(lambda: _kill_and_reap(pidfd))
        theirs.close()
        userns_fd = _map_ids(pid, spec)
        try:
            options.namespaces_ready(pid)
            _send_go(spec, options, ours, userns_fd)
        finally:
            if userns_fd is not None:
                os.close(userns_fd)
        options.meanwhile()
        console_fd = _await_ready(spec, ours)
        created = Created(pid, pidfd, start_time(pid), console_fd, ours)
        undo.keep()
    return created


def _clone(spec: Spec, options: CreateOptions, ours: socket.socket, theirs: socket.socket) -> tuple[int, int]:
    flags = CloneFlags.PARENT if options.as_sibling else CloneFlags(0)
    for namespace in spec.linux.namespaces:
        if namespace.type is not NamespaceType.CGROUP:  # init's own step, see unshare_cgroup
            flags |= CLONE_FLAG[namespace.type]
    cgroup_fd = options.cgroup.open() if options.cgroup is not None else None
    try:
        pid, pidfd = namespaces.clone3(flags, cgroup_fd)
        if pid == 0:
            ours.close()  # or its end of file, the parent's death, would never be seen
            processes.set_process_name("aethel:init")
            init.run(spec, None if spec.process.terminal else options.stdio, theirs)
    finally:
        if cgroup_fd is not None:
            os.close(cgroup_fd)
    return pid, pidfd


def _map_ids(pid: int, spec: Spec) -> int | None:
    if spec.process.oom_score_adj is not None:
        idmap.write_oom_score(pid, spec.process.oom_score_adj)
    if not spec.linux.has(NamespaceType.USER):
        return None
    idmap.write_maps(pid, spec.linux)
    return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _send_go(spec: Spec, options: CreateOptions, sock: socket.socket, userns_fd: int | None) -> None:
    binds = tuple(index for index, mount in enumerate(spec.mounts) if meaning(mount).bind)
    fds: list[int] = []
    try:
        fds.append(options.open_rootfs(userns_fd))
        process = options.final_process(fds[0], spec.process)
        fds.extend(open_source(spec.mounts[index], userns_fd) for index in binds)
        if options.stdio is not None:
            _give_stdio(options.stdio, process, spec)
        try:
            fdsocket.send(sock, sync.encode(sync.Go(process=process, binds=binds)), fds)
        except BrokenPipeError:
            pass  # init has failed already, and has said why
    finally:
        for fd in fds:
            os.close(fd)


def _give_stdio(stdio: tuple[int, int, int], process: Process, spec: Spec) -> None:
    """Let the container's user open its pipes again by name, as `> /dev/stderr` does."""
    mapped = spec.linux.has(NamespaceType.USER)
    uid = idmap.on_host(process.user.uid, spec.linux.uid_mappings) if mapped else process.user.uid
    for fd in stdio:
        if uid is not None and _is_pipe(fd):
            os.fchown(fd, uid, -1)


def _is_pipe(fd: int) -> bool:
    return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")


def _await_ready(spec: Spec, sock: socket.socket) -> int | None:
    console_fd: int | None = None
    while True:
        message, fds = _receive(sock)
        if not message:
            if console_fd is not None:
                os.close(console_fd)
            raise AethelError("the container's init died while it was being set up", hint="out of memory?")
        answer = sync.from_init(message)
        if isinstance(answer, sync.Ready):
            return console_fd
        if isinstance(answer, sync.Failed):
            if console_fd is not None:
                os.close(console_fd)
            raise answer.error()
        console_fd = fds[0]


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    try:
        return fdsocket.receive(sock)
    except ConnectionResetError:
        return b"", []


def _kill_and_reap(pidfd: int) -> None:
    try:
        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        pass  # reaped before, or our parent's child
    os.close(pidfd)
