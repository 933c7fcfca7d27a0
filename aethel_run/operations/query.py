"""What there is: one container's processes, and a line for each container."""

from __future__ import annotations

import pwd

import msgspec

from aethel_common.errors import WrongState
from aethel_run.spec.document import Document
from aethel_run.spec.state import Status
from aethel_run.state import Container, Store


class Line(Document, frozen=True, kw_only=True, omit_defaults=False):
    """`state` and `list --format json` print it: the specification's state and what runc adds."""

    oci_version: str
    id: str
    pid: int
    status: Status
    bundle: str
    rootfs: str
    created: str
    annotations: dict[str, str]
    owner: str
    without: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """Protections that were left out; only there when there are some."""


def line(container: Container) -> Line:
    """One container. Raises NotFound."""
    state, record = container.state(), container.record
    return Line(
        oci_version=state.oci_version,
        id=state.id,
        pid=state.pid,
        status=state.status,
        bundle=state.bundle,
        rootfs=record.rootfs,
        created=record.created,
        annotations=dict(state.annotations),
        owner=_user(record.owner),
        without=record.without or msgspec.UNSET,
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
