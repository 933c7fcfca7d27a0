"""`linux` of config.json. config-linux.md"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from aethel_common.linux.namespaces import CloneFlags
from aethel_run.spec.process import Document


class NamespaceType(StrEnum):
    """The kinds of namespace. config-linux.md#namespaces"""

    PID = "pid"
    NETWORK = "network"
    MOUNT = "mount"
    IPC = "ipc"
    UTS = "uts"
    USER = "user"
    CGROUP = "cgroup"


CLONE_FLAG: Mapping[NamespaceType, CloneFlags] = {
    NamespaceType.PID: CloneFlags.NEWPID,
    NamespaceType.NETWORK: CloneFlags.NEWNET,
    NamespaceType.MOUNT: CloneFlags.NEWNS,
    NamespaceType.IPC: CloneFlags.NEWIPC,
    NamespaceType.UTS: CloneFlags.NEWUTS,
    NamespaceType.USER: CloneFlags.NEWUSER,
    NamespaceType.CGROUP: CloneFlags.NEWCGROUP,
}


class Namespace(Document, frozen=True, kw_only=True):
    """A namespace to make."""

    type: NamespaceType


class IdMapping(Document, frozen=True, kw_only=True):
    """A range of ids, inside and on the host. man 7 user_namespaces"""

    container_id: int = msgspec.field(name="containerID")
    host_id: int = msgspec.field(name="hostID")
    size: int


class Linux(Document, frozen=True, kw_only=True):
    """The Linux part."""

    namespaces: tuple[Namespace, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    cgroups_path: str = ""
    sysctl: Mapping[str, str] = {}
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()

    def has(self, kind: NamespaceType) -> bool:
        """Whether the container gets a new namespace of that kind."""
        return any(namespace.type is kind for namespace in self.namespaces)
