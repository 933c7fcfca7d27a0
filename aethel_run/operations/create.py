"""create ID BUNDLE: everything up to the user's program; init then waits at its gate. runtime.md#create"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from aethel_common import fdsocket
from aethel_common.errors import InvalidArgument, NotFound
from aethel_common.undo import Undo
from aethel_run.cgroup import limits
from aethel_run.cgroup.managers.manager import Kind
from aethel_run.cgroup.tree import Cgroup
from aethel_run.lifecycle.create import Created, CreateOptions
from aethel_run.lifecycle.create import create as make
from aethel_run.lifecycle.rootfs import open_directory
from aethel_run.operations import cgroups, console, notify
from aethel_run.process import preconditions, rdt
from aethel_run.spec import validate
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.load import decode
from aethel_run.spec.mounts import is_bind
from aethel_run.spec.state import State
from aethel_run.state import Container, Record, Store, marked
from aethel_run.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line adds to the bundle."""

    console_socket: str = ""
    pid_file: str = ""
    pidfd_socket: str = ""
    preserve_fds: int = 0
    new_keyring: bool = True
    without: tuple[str, ...] = ()
    """Protections to leave out, for teaching."""
    cgroup_manager: Kind = Kind.CGROUPFS


def create(store: Store, container_id: str, bundle: Path, options: Options, warn: Callable[[str], None]) -> Container:
    """Make a container, or leave nothing of it. Raises AlreadyExists, InvalidSpec, StepFailed, ...

    `warn` is told what of the document will have no effect, where the specification lets that be.

    A terminal's master goes out through the console socket; without a terminal our 0, 1 and 2 are the container's.
    """
    container, created = prepare(store, container_id, bundle, options, warn)
    created.release()
    return container


def prepare(
    store: Store,
    container_id: str,
    bundle: Path,
    options: Options,
    warn: Callable[[str], None],
    *,
    foreground: bool = False,
) -> tuple[Container, Created]:
    """As `create`, with the child in hand: `run` waits for it, and in the foreground keeps its terminal's master."""
    document = read_document(bundle)
    spec = _with_absolute_sources(notify.wired(decode(document)), bundle)
    _check_terminal(spec, options, foreground=foreground)
    for warning in (*validate.warnings(spec), *preconditions.warnings(spec), *_passed_over(spec)):
        warn(warning)
    if options.without:
        _warn_of_missing(container_id, options.without, spec, warn)
    with Undo() as undo:
        container = store.claim(container_id)
        undo.later(container.forget)
        (container.directory / "config.json").write_bytes(document)
        created = _make(container, spec, bundle, options, undo)
        undo.keep()
    return container, created


def _warn_of_missing(container_id: str, without: Collection[str], spec: Spec, warn: Callable[[str], None]) -> None:
    from aethel_run.init import protections  # for teaching only: nobody else pays for it
    from aethel_run.lifecycle import plan

    plan.check_without(without, spec)
    for name in without:
        warn(f"container {container_id} is made WITHOUT {name}: {protections.loss(name)}")


def _passed_over(spec: Spec) -> list[str]:
    return [f"{path}: cgroup2 counts it within memory.limit" for path in limits.ignored(spec.linux.resources)]


def _with_absolute_sources(spec: Spec, bundle: Path) -> Spec:
    """What is bound is named from the bundle on, wherever who opens it may stand. config.md#mounts"""
    mounts = tuple(
        msgspec.structs.replace(mount, source=str(bundle / mount.source)) if is_bind(mount) and mount.source else mount
        for mount in spec.mounts
    )
    return msgspec.structs.replace(spec, mounts=mounts)


def read_document(bundle: Path) -> bytes:
    """config.json of a bundle. Raises NotFound, InvalidArgument."""
    if not bundle.is_dir():
        raise InvalidArgument(f"{bundle} is not a directory")
    try:
        return (bundle / "config.json").read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no config.json in {bundle}", hint="`aethel-run spec` writes one") from None


def _check_terminal(spec: Spec, options: Options, *, foreground: bool) -> None:
    terminal = spec.process is not None and spec.process.terminal
    if options.console_socket and not terminal:
        raise InvalidArgument("cannot use console socket if the container has no terminal")
    if terminal and not options.console_socket and not foreground:
        raise InvalidArgument("cannot allocate tty if a container will be detached without setting console socket")


def _make(container: Container, spec: Spec, bundle: Path, options: Options, undo: Undo) -> Created:
    limited = cgroups.Limited(cgroups.manager(options.cgroup_manager, spec, container.id), spec.linux.resources)
    cgroup = limited.make(undo)
    rootfs = str((bundle / spec.root.path).resolve())
    state = State(
        oci_version=spec.oci_version,
        id=container.id,
        status=Status.CREATING,
        bundle=str(bundle),
        annotations=marked(spec.annotations, options.without),
    )
    with _gate(container.gate) as gate:
        created = make(
            spec,
            CreateOptions(
                open_rootfs=open_directory(rootfs),
                rootfs=rootfs,
                bundle=str(bundle),
                cgroup=cgroup,
                state=state,
                gate=gate,
                without=frozenset(options.without),
                namespaces_ready=limited.adopt,
                new_keyring=options.new_keyring,
                preserved_fds=options.preserve_fds + notify.passed_sockets(),
            ),
        )
    undo.later(created.abandon)
    shares = _assign_rdt(container.id, spec, created, undo)
    _tell(created, options, undo)
    container.write(_record(container.id, spec, bundle, rootfs, created, limited.cgroup, options, shares))
    return created


def _assign_rdt(container_id: str, spec: Spec, created: Created, undo: Undo) -> rdt.Assignment:
    """The shares of cache and memory bandwidth, if the document asks for any. config-linux.md#intelrdt"""
    if spec.linux.intel_rdt is None:
        return rdt.Assignment()
    assignment = rdt.assign(rdt.find_resctrl(), spec.linux.intel_rdt, container_id, created.pid)
    undo.later(lambda: rdt.remove(assignment))
    return assignment


@contextmanager
def _gate(path: Path) -> Iterator[socket.socket]:
    gate = fdsocket.listen(path)
    try:
        yield gate
    finally:
        gate.close()


def _tell(created: Created, options: Options, undo: Undo) -> None:
    """What the caller asked to be told: the terminal, the pidfd, the pid, in the order of their use."""
    if created.console_fd is not None and options.console_socket:
        console.send(options.console_socket, created.console_fd, "console")
    if options.pidfd_socket:
        console.send(options.pidfd_socket, created.pidfd, "pidfd")
    if options.pid_file:
        write_pid_file(options.pid_file, created.pid)
        undo.later(Path(options.pid_file).unlink)


def write_pid_file(path: str, pid: int) -> None:
    """In one piece: whoever watches for the file finds a whole number in it."""
    temporary = Path(path).with_name(f".{os.path.basename(path)}")
    temporary.write_text(str(pid))
    temporary.rename(path)


def _record(
    container_id: str,
    spec: Spec,
    bundle: Path,
    rootfs: str,
    created: Created,
    cgroup: Cgroup | None,
    options: Options,
    shares: rdt.Assignment,
) -> Record:
    return Record(
        id=container_id,
        bundle=str(bundle),
        rootfs=rootfs,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
        owner=os.geteuid(),
        pid=created.pid,
        start_time=created.start_time,
        cgroup=str(cgroup.path) if cgroup is not None else "",
        cgroup_manager=options.cgroup_manager.value,
        rdt_class=shares.made,
        rdt_monitor=shares.monitor,
        oci_version=spec.oci_version,
        annotations=dict(marked(spec.annotations, options.without)),
        shares_pids=not spec.linux.has(NamespaceType.PID),
        has_poststop=bool(spec.hooks.poststop),
        without=tuple(sorted(set(options.without))),
    )
