"""create: everything that the document asks for, up to just before the user's program; and `start`. runtime.md#lifecycle"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn

from aethel_common import fdsocket
from aethel_common.linux import processes
from aethel_common.process import start_time
from aethel_common.undo import Undo
from aethel_run import sync
from aethel_run.cgroup.tree import Cgroup
from aethel_run.init import main as init
from aethel_run.init import trees
from aethel_run.lifecycle import acts, gate
from aethel_run.process import conversation, filters, idmap, joins, preconditions
from aethel_run.process.children import kill_and_reap
from aethel_run.process.sources import Clone, needs_sources
from aethel_run.process.spawn import Birth, Child, spawn
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.process import NOTHING_TO_RUN, Process
from aethel_run.spec.state import NOBODY, State
from aethel_run.status import Status

_UMASK: Final = 0o022
"""What is made for mounts and as a working directory must be open to every user, whatever our caller's is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOptions:
    """What a caller adds to the document."""

    open_rootfs: Callable[[int | None], int]
    """Given the container's user namespace (or None), the descriptor of a detached mount for the root."""
    rootfs: str = ""
    """Its path, for init to open where we have no privilege to (rootless)."""
    bundle: str = "/"
    """Where relative sources of bind mounts begin."""
    clone_source: Clone = trees.clone
    """How the source of a bind is copied, for a caller who knows others than paths of its own mount namespace."""
    cgroup: Cgroup | None = None
    """Where the container is born; made by the caller."""
    stdio: tuple[int, int, int] | None = (0, 1, 2)
    """To become its 0, 1 and 2; not used with a terminal."""
    state: State = NOBODY
    """What hooks are told; status and pid are set here."""
    gate: socket.socket | None = None
    """Listens; init waits there for who says Start, and needs its parent no longer. None: `Created.start` says it."""
    without: frozenset[str] = frozenset()
    """Protections that are left out, for teaching; the caller has checked them (`init.protections`)."""
    new_keyring: bool = True
    """False: the container keeps our session keyring."""
    preserved_fds: int = 0
    """So many of our descriptors from 3 on become the program's."""
    namespaces_ready: Callable[[int], None] = lambda pid: None
    """Called with init's pid when its namespaces exist and its ids are mapped."""
    meanwhile: Callable[[], None] = lambda: None
    """Called while init sets up: for what the caller has to do anyhow."""
    as_sibling: bool = False
    """Whether init becomes a child of the caller's parent, which then reaps it: the caller may end first.

    One that joins namespaces stays the caller's child until that ends; the parent must be a subreaper for its sake.
    """
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
    _give_listener: Callable[[int], None] = field(repr=False)

    def start(self) -> None:
        """Open the gate; returns once execve has happened.

        Raises CommandNotFound, CannotExecute or StepFailed; the container is then gone, and `abandon` still due.
        """
        gate.open_gate(self._sync)
        with self._sync:
            conversation.await_execve(self._sync, self._give_listener)

    def abandon(self) -> None:
        """Kill and reap init, and close everything."""
        self.release()
        kill_and_reap(self.pidfd)

    def release(self) -> None:
        """Let go of it without ending it: for one that waits at a gate of its own."""
        self._sync.close()
        if self.console_fd is not None:
            os.close(self.console_fd)


def create(spec: Spec, options: CreateOptions) -> Created:
    """Build all that the document asks for. When a part fails, what was made is undone and the first error raised.

    Only for a process with one thread. Raises StepFailed, InvalidSpec, Unsupported, NotFound, OSError.
    """
    preconditions.check(spec)
    ours, theirs = fdsocket.pair()
    with Undo() as undo, theirs:
        undo.later(ours.close)
        child = _spawn(spec, options, ours, theirs)
        undo.later(lambda: kill_and_reap(child.pidfd))
        theirs.close()
        state = options.state.at(Status.CREATING, child.pid)
        _prepare(spec, options, child, ours, state)
        options.meanwhile()
        console_fd = conversation.await_ready(ours, lambda: _run_hooks(spec, state))
        if console_fd is not None:
            undo.later(partial(os.close, console_fd))
        acts.give_attributes(child.pid, spec.process or NOTHING_TO_RUN)
        give_listener = filters.giver(spec, child.pidfd, child.pid, state.at(Status.CREATED))
        created = Created(child.pid, child.pidfd, start_time(child.pid), console_fd, ours, give_listener)
        undo.keep()
    return created


def _spawn(spec: Spec, options: CreateOptions, ours: socket.socket, theirs: socket.socket) -> Child:
    process = spec.process or NOTHING_TO_RUN
    given = init.Birthright(
        spec=spec,
        stdio=None if process.terminal else options.stdio,
        sync=theirs,
        gate=options.gate,
        filter=filters.compiled(spec),
        new_keyring=options.new_keyring,
        preserved_fds=options.preserved_fds,
        without=options.without,
    )

    def body() -> NoReturn:
        ours.close()  # or its end of file, the parent's death, would never be seen
        processes.set_process_name("aethel:init")
        os.umask(_UMASK)
        init.run(given)

    cgroup_fd = options.cgroup.open() if options.cgroup is not None else None
    try:
        with joins.opened(spec.linux) as joined:
            return spawn(
                Birth(
                    makes=joins.clone_flags(spec.linux),
                    joins=joined,
                    time_offsets=spec.linux.time_offsets if spec.linux.makes(NamespaceType.TIME) else None,
                    cgroup_fd=cgroup_fd,
                    as_sibling=options.as_sibling,
                ),
                body,
            )
    finally:
        if cgroup_fd is not None:
            os.close(cgroup_fd)


def _prepare(spec: Spec, options: CreateOptions, child: Child, sock: socket.socket, state: State) -> None:
    """What init cannot do for itself: its id maps, its links, its root and the sources of its binds."""
    process = spec.process or NOTHING_TO_RUN
    if spec.linux.makes(NamespaceType.USER):
        idmap.write_maps(child.pid, spec.linux)
    if spec.linux.net_devices:
        acts.move_links(child.pid, spec)
    userns_fd = _open_userns(spec, child.pid)
    fds: list[int] = []
    try:
        options.namespaces_ready(child.pid)
        rootfs_fd = acts.open_root(options.open_rootfs, options.rootfs, userns_fd)
        if rootfs_fd is not None:
            fds.append(rootfs_fd)
            process = options.final_process(rootfs_fd, process)
        sources = (
            acts.open_sources(spec, userns_fd, options.bundle, options.clone_source) if needs_sources(spec) else {}
        )
        fds.extend(sources.values())
        if options.stdio is not None:
            acts.give_stdio(options.stdio, process, spec)
        conversation.send_go(sock, _go(process, sources, state, options, rootfs_fd), fds)
    finally:
        for fd in fds:
            os.close(fd)
        if userns_fd is not None:
            os.close(userns_fd)


def _go(
    process: Process, sources: Mapping[int, int], state: State, options: CreateOptions, rootfs_fd: int | None
) -> sync.Go:
    own_root = options.rootfs if rootfs_fd is None else ""
    return sync.Go(process=process, binds=tuple(sources), own_root=own_root, state=state)


def _open_userns(spec: Spec, pid: int) -> int | None:
    if not spec.linux.has(NamespaceType.USER):
        return None
    return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _run_hooks(spec: Spec, state: State) -> None:
    if spec.hooks.prestart or spec.hooks.create_runtime:
        acts.run_runtime_hooks(spec, state)
