"""What is asked of a new container, looked at as a whole before anything is made."""

from __future__ import annotations

from typing import Final

import msgspec

from aethel_common import names
from aethel_common.errors import InvalidArgument
from aethel_d.engine import devices, hostnames, idmap, kernel, mounts, namespaces
from aethel_d.engine.asked import ShareMode, Users
from aethel_d.engine.containers import ID_RANGE_END
from aethel_d.engine.context import Engine
from aethel_d.engine.document import foreseen
from aethel_d.engine.model import Container, ContainerConfig
from aethel_run.lifecycle.plan import check_without
from aethel_run.spec import validate
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType

RESERVED: Final = ("aethelred.", "org.aethelred.")
"""Annotations that begin so are ours."""


def settled(engine: Engine, config: ContainerConfig) -> ContainerConfig:
    """The same with nothing left open. Raises NotFound, and InvalidArgument for what can never be."""
    if config.name:
        names.check(config.name)
    config = namespaces.settle(config, lambda wanted: engine.containers.get(engine.containers.find(wanted)))
    _check_users(config.namespaces.users, start=engine.config.id_range_start)
    _check_kernel(config)
    for key in config.annotations:
        if not key or key.startswith(RESERVED):
            raise InvalidArgument(f"annotation {key!r}: keys that begin with {' or '.join(RESERVED)} are reserved")
    if config.domainname:
        hostnames.check(config.domainname)
    devices.requested(config.devices.requests)
    if config.privileges.no_new_privileges is None:
        chosen = msgspec.structs.replace(config.privileges, no_new_privileges=engine.config.no_new_privileges)
        config = msgspec.structs.replace(config, privileges=chosen)
    return config


def checked_document(engine: Engine, container: Container) -> Spec:
    """The one that a start would write. It keeps the specification's rules, and leaves out only what may be.

    Raises InvalidArgument, InvalidSpec, and NotFound for a device.
    """
    document = foreseen(engine, container)
    validate.check(document)
    if container.config.without:
        check_without(container.config.without, document)
    return document


def _check_users(users: Users, *, start: int) -> None:
    if not 1 <= users.size <= ID_RANGE_END - start:
        raise InvalidArgument(f"userns: {users.size} is not a number of ids", hint=f"1 to {ID_RANGE_END - start}")
    idmap.check("uidmapping", users.uid_map, start=start, end=ID_RANGE_END)
    idmap.check("gidmapping", users.gid_map, start=start, end=ID_RANGE_END)


def _check_kernel(config: ContainerConfig) -> None:
    shares = namespaces.shares(config)
    own = {kind for kind, share in shares.items() if share.mode is ShareMode.PRIVATE}
    kernel.check_sysctl(
        config.kernel.sysctl,
        frozenset(kind.value for kind in own if kind in (NamespaceType.NETWORK, NamespaceType.IPC)),
    )
    if mounts.SHM in config.kernel.tmpfs and config.kernel.shm_size is not None:
        raise InvalidArgument(f"shm-size: a tmpfs of its own is asked for at {mounts.SHM}")
    if config.kernel.umask is not None and config.kernel.umask > 0o777:
        raise InvalidArgument(f"umask: 0{config.kernel.umask:o} is more than 0777")
