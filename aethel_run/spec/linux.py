"""`linux` of config.json. config-linux.md"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from aethel_common.linux.namespaces import CloneFlags
from aethel_run.spec.document import Document, Uint32
from aethel_run.spec.resources import Resources
from aethel_run.spec.seccomp import Seccomp


class NamespaceType(StrEnum):
    """The kinds of namespace. config-linux.md#namespaces"""

    PID = "pid"
    NETWORK = "network"
    MOUNT = "mount"
    IPC = "ipc"
    UTS = "uts"
    USER = "user"
    CGROUP = "cgroup"
    TIME = "time"


CLONE_FLAG: Mapping[NamespaceType, CloneFlags] = {
    NamespaceType.PID: CloneFlags.NEWPID,
    NamespaceType.NETWORK: CloneFlags.NEWNET,
    NamespaceType.MOUNT: CloneFlags.NEWNS,
    NamespaceType.IPC: CloneFlags.NEWIPC,
    NamespaceType.UTS: CloneFlags.NEWUTS,
    NamespaceType.USER: CloneFlags.NEWUSER,
    NamespaceType.CGROUP: CloneFlags.NEWCGROUP,
    NamespaceType.TIME: CloneFlags.NEWTIME,
}


class Namespace(Document, frozen=True, kw_only=True):
    """A namespace to make, or with `path` one to join."""

    type: NamespaceType
    path: str = ""


class IdMapping(Document, frozen=True, kw_only=True):
    """A range of ids, inside and on the host. man 7 user_namespaces"""

    container_id: Uint32 = msgspec.field(name="containerID")
    host_id: Uint32 = msgspec.field(name="hostID")
    size: Uint32


class TimeOffset(Document, frozen=True, kw_only=True):
    """What is added to a clock. man 7 time_namespaces"""

    secs: int = 0
    nanosecs: Uint32 = 0


class DeviceType(StrEnum):
    """man 2 mknod; `u` is `c` too."""

    CHARACTER = "c"
    UNBUFFERED = "u"
    BLOCK = "b"
    FIFO = "p"


class Device(Document, frozen=True, kw_only=True):
    """A device node. config-linux.md#devices"""

    type: DeviceType
    path: str
    major: int = 0
    minor: int = 0
    file_mode: Uint32 | None = None
    uid: Uint32 | None = None
    gid: Uint32 | None = None


class NetDevice(Document, frozen=True, kw_only=True):
    """A link of the host that moves in; `name` is what it is called there. config-linux.md#network-devices"""

    name: str = ""


class RootfsPropagation(StrEnum):
    """config-linux.md#rootfs-mount-propagation"""

    DEFAULT = ""
    SHARED = "shared"
    SLAVE = "slave"
    PRIVATE = "private"
    UNBINDABLE = "unbindable"
    RECURSIVE_SHARED = "rshared"
    RECURSIVE_SLAVE = "rslave"
    RECURSIVE_PRIVATE = "rprivate"
    RECURSIVE_UNBINDABLE = "runbindable"


class IntelRdt(Document, frozen=True, kw_only=True):
    """config-linux.md#intelrdt"""

    clos_id: str = msgspec.field(name="closID", default="")
    schemata: tuple[str, ...] = ()
    l3_cache_schema: str = msgspec.field(name="l3CacheSchema", default="")
    mem_bw_schema: str = ""
    enable_monitoring: bool = False


class MemoryPolicyMode(StrEnum):
    """man 2 set_mempolicy"""

    DEFAULT = "MPOL_DEFAULT"
    BIND = "MPOL_BIND"
    INTERLEAVE = "MPOL_INTERLEAVE"
    WEIGHTED_INTERLEAVE = "MPOL_WEIGHTED_INTERLEAVE"
    PREFERRED = "MPOL_PREFERRED"
    PREFERRED_MANY = "MPOL_PREFERRED_MANY"
    LOCAL = "MPOL_LOCAL"


class MemoryPolicyFlag(StrEnum):
    """man 2 set_mempolicy"""

    NUMA_BALANCING = "MPOL_F_NUMA_BALANCING"
    RELATIVE_NODES = "MPOL_F_RELATIVE_NODES"
    STATIC_NODES = "MPOL_F_STATIC_NODES"


class MemoryPolicy(Document, frozen=True, kw_only=True):
    """`nodes`: a list such as `0-1,3`. config-linux.md#memory-policy"""

    mode: MemoryPolicyMode
    nodes: str = ""
    flags: tuple[MemoryPolicyFlag, ...] = ()


class PersonalityDomain(StrEnum):
    """man 2 personality"""

    LINUX = "LINUX"
    LINUX32 = "LINUX32"


class Personality(Document, frozen=True, kw_only=True):
    """config-linux.md#personality: `flags` must be empty so far."""

    domain: PersonalityDomain
    flags: tuple[str, ...] = ()


class Linux(Document, frozen=True, kw_only=True):
    """The Linux part."""

    namespaces: tuple[Namespace, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    time_offsets: Mapping[str, TimeOffset] = {}
    devices: tuple[Device, ...] = ()
    net_devices: Mapping[str, NetDevice] = {}
    cgroups_path: str = ""
    resources: Resources = Resources()
    sysctl: Mapping[str, str] = {}
    seccomp: Seccomp | None = None
    rootfs_propagation: RootfsPropagation = RootfsPropagation.DEFAULT
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    mount_label: str = ""
    intel_rdt: IntelRdt | None = None
    memory_policy: MemoryPolicy | None = None
    personality: Personality | None = None

    def has(self, kind: NamespaceType) -> bool:
        """Whether the container has a namespace of that kind to itself, made for it or joined."""
        return any(namespace.type is kind for namespace in self.namespaces)

    def makes(self, kind: NamespaceType) -> bool:
        """Whether one of that kind is made for it."""
        return any(namespace.type is kind and not namespace.path for namespace in self.namespaces)

    def joined(self, kind: NamespaceType) -> str:
        """The path of the one that it joins; empty when it joins none of that kind."""
        return next((each.path for each in self.namespaces if each.type is kind), "")
