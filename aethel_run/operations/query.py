"""What there is: one container's processes, and a line for each container."""

from __future__ import annotations

import pwd
from typing import NamedTuple

from aethel_common.errors import WrongState
from aethel_run.state import Container, Store
from aethel_run.status import Status


class Line(NamedTuple):
    """What `state` and `list` print, by the names they print: the specification's state and what runc adds."""

    ociVersion: str  # noqa: N815
    id: str
    pid: int
    status: str
    bundle: str
    rootfs: str
    created: str
    annotations: dict[str, str]
    owner: str
    without: tuple[str, ...] = ()
    """Protections that were left out."""

    @property
    def document(self) -> dict[str, object]:
        """For JSON; of `without` there is a word only when it is not empty."""
        return {name: value for name, value in self._asdict().items() if name != "without" or value}


def line(container: Container) -> Line:
    """One container. Raises NotFound."""
    status, record = container.status, container.record
    return Line(
        ociVersion=record.oci_version,
        id=container.id,
        pid=0 if status is Status.STOPPED else record.pid,
        status=status.value,
        bundle=record.bundle,
        rootfs=record.rootfs,
        created=record.created,
        annotations=record.annotations,
        owner=_user(record.owner),
        without=tuple(record.without),
    )


def lines(store: Store) -> list[Line]:
    """All of them, by id."""
    return [line(container) for container in store.all()]


def pids(container: Container) -> list[int]:
    """Every process of a container that runs. Raises WrongState."""
    if container.status is Status.STOPPED:
        raise WrongState("container not running")
    return container.cgroup.pids() if container.cgroup is not None else [container.record.pid]


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
