"""What the runtime command remembers of each container: a directory per id below one root.

    ROOT/ID/state.json    a Record; absent while the container is being made
    ROOT/ID/config.json   the document as it was at `create`: later changes of the bundle mean nothing
    ROOT/ID/gate.sock     init waits there for `start`; gone once it was started

The status is computed from these and the kernel, never stored. runtime.md#state
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aethel_common import process
from aethel_common.errors import AlreadyExists, Corrupt, InvalidArgument, NotFound
from aethel_run.cgroup import freezer
from aethel_run.cgroup.tree import Cgroup
from aethel_run.status import Status

if TYPE_CHECKING:
    from aethel_run.spec.config import Spec
    from aethel_run.spec.state import State

_ID: Final = re.compile(r"[\w+.-]{1,1024}", re.ASCII)


class Record(NamedTuple):
    """Facts of the creation, and of the document what most verbs need of it: reading that whole takes its time."""

    id: str
    bundle: str
    rootfs: str
    created: str
    """RFC 3339."""
    owner: int
    """The user id that made it."""
    pid: int
    start_time: int
    """Field 22 of /proc/PID/stat."""
    cgroup: str
    """The path of its directory; empty without one."""
    cgroup_manager: str
    """The word of --cgroup-manager."""
    rdt_class: str
    """The path of a class of service that was made for it alone; empty without one."""
    rdt_monitor: str
    """The path of its monitoring group; empty without one."""
    oci_version: str
    annotations: dict[str, str]
    shares_pids: bool
    """It has no PID namespace to itself."""
    has_poststop: bool
    """Hooks are due when it is deleted."""
    without: tuple[str, ...] = ()
    """Protections that it was made without, for teaching."""


class Container:
    """One container's directory; nothing is read before it is asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._record: Record | None = None
        self._spec: Spec | None = None

    @property
    def id(self) -> str:
        """Its name."""
        return self.directory.name

    @property
    def gate(self) -> Path:
        """Where init listens until it is started."""
        return self.directory / "gate.sock"

    @property
    def record(self) -> Record:
        """The facts. Raises NotFound while it is being made, Corrupt."""
        if self._record is None:
            path = self.directory / "state.json"
            try:
                self._record = Record(**json.loads(path.read_bytes()))
            except FileNotFoundError:
                raise NotFound("container does not exist") from None
            except (ValueError, TypeError) as error:
                raise Corrupt(f"{path}: {error}") from error
        return self._record

    @property
    def spec(self) -> Spec:
        """The document that it was made from."""
        if self._spec is None:
            from aethel_run.spec.load import decode  # most verbs get on without

            self._spec = decode((self.directory / "config.json").read_bytes())
        return self._spec

    @property
    def cgroup(self) -> Cgroup | None:
        """Where its processes are."""
        return Cgroup(Path(self.record.cgroup)) if self.record.cgroup else None

    def write(self, record: Record) -> None:
        """Remember; from here on the container is known."""
        path, temporary = self.directory / "state.json", self.directory / ".state.json"
        temporary.write_text(json.dumps(record._asdict()))
        temporary.rename(path)
        self._record = record

    def write_spec(self, document: bytes) -> None:
        """Another document from here on."""
        path, temporary = self.directory / "config.json", self.directory / ".config.json"
        temporary.write_bytes(document)
        temporary.rename(path)
        self._spec = None

    @property
    def is_alive(self) -> bool:
        """Whether its first process is there and no zombie."""
        return process.is_alive(self.record.pid, self.record.start_time)

    @property
    def status(self) -> Status:
        """From the kernel and the gate."""
        if not (self.directory / "state.json").exists():
            return Status.CREATING
        if not self.is_alive:
            return Status.STOPPED
        cgroup = self.cgroup
        if cgroup is not None and freezer.is_frozen(cgroup):
            return Status.PAUSED
        return Status.CREATED if self.gate.exists() else Status.RUNNING

    def state(self, status: Status) -> State:
        """What hooks are told of it at that moment. runtime.md#state"""
        from aethel_run.spec.state import State  # as above

        record = self.record
        return State(
            oci_version=record.oci_version,
            id=self.id,
            status=status,
            pid=0 if status is Status.STOPPED else record.pid,
            bundle=record.bundle,
            annotations=record.annotations,
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One verb at a time changes it. Raises NotFound when it is gone by then. man 2 flock"""
        try:
            fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound("container does not exist") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not self.directory.exists():
                raise NotFound("container does not exist")
            yield
        finally:
            os.close(fd)

    def forget(self) -> None:
        """Remove the directory. Idempotent."""
        for name in ("gate.sock", ".state.json", ".config.json", "config.json", "state.json"):
            (self.directory / name).unlink(missing_ok=True)
        try:
            self.directory.rmdir()
        except FileNotFoundError:
            pass


class Store:
    """All containers below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def claim(self, container_id: str) -> Container:
        """A directory for a new container. Raises AlreadyExists, InvalidArgument."""
        directory = self.root / check_id(container_id)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            directory.mkdir(mode=0o711)
        except FileExistsError:
            raise AlreadyExists("container with given ID already exists") from None
        return Container(directory)

    def get(self, container_id: str) -> Container:
        """Raises NotFound, InvalidArgument."""
        container = Container(self.root / check_id(container_id))
        if not container.directory.is_dir():
            raise NotFound("container does not exist")
        return container

    def all(self) -> list[Container]:
        """Those that are made, by id."""
        if not self.root.is_dir():
            return []
        return [Container(path) for path in sorted(self.root.iterdir()) if (path / "state.json").exists()]


WITHOUT: Final = "org.aethelred.without"
"""The annotation that marks a container made without some of its protections."""


def marked(annotations: Mapping[str, str], without: Iterable[str]) -> Mapping[str, str]:
    """With what was left out, where something was."""
    text = ",".join(sorted(without))
    return {**annotations, WITHOUT: text} if text else annotations


def check_id(container_id: str) -> str:
    """It becomes the name of a directory. Raises InvalidArgument."""
    if not _ID.fullmatch(container_id) or container_id in (".", ".."):
        raise InvalidArgument(f"invalid container ID format: {container_id[:64]!r}")
    return container_id
