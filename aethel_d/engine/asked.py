"""What can be asked of a container besides its command, by subject: the parts of a ContainerConfig. Stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

DEFAULT_SHM_SIZE: Final = 64 * 1024 * 1024
ID_RANGE_SIZE: Final = 65536
"""Host ids of one container's user namespace, unless another number is asked for."""
ALL: Final = "ALL"


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all: what is at its default is not stored."""


class ShareMode(StrEnum):
    """Whose namespace of one kind a container is in."""

    PRIVATE = "private"
    HOST = "host"
    CONTAINER = "container"


class Share(Asked, frozen=True, kw_only=True):
    """Its own, the host's, or that of another container (its id)."""

    mode: ShareMode = ShareMode.PRIVATE
    container: str = ""

    def __str__(self) -> str:
        return f"container:{self.container}" if self.container else self.mode.value


class IdMap(Asked, frozen=True, kw_only=True):
    """A range of ids, inside and on the host. man 7 user_namespaces"""

    inside: int
    host: int
    size: int


class UsersMode(StrEnum):
    """Whose user namespace; DEFAULT is what goes with the rest, and is settled when the container is created."""

    DEFAULT = ""
    PRIVATE = "private"
    HOST = "host"
    AUTO = "auto"
    CONTAINER = "container"


class Users(Asked, frozen=True, kw_only=True):
    """The user namespace; size and maps go with AUTO."""

    mode: UsersMode = UsersMode.DEFAULT
    container: str = ""
    size: int = ID_RANGE_SIZE
    uid_map: tuple[IdMap, ...] = ()
    """What is mapped so, whatever the range would make of it."""
    gid_map: tuple[IdMap, ...] = ()


class Namespaces(Asked, frozen=True, kw_only=True):
    """All but the network's, which has a mode of its own, and the mount namespace, which is always private."""

    pid: Share = Share()
    ipc: Share = Share()
    uts: Share = Share()
    cgroup: Share = Share()
    users: Users = Users()


class Privileges(Asked, frozen=True, kw_only=True):
    """What its programs may do."""

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    """CAP_..., or ALL."""
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool | None = None
    """None: as the daemon's setting has it; settled when the container is created."""
    seccomp: str = ""
    """Empty: the default profile; `unconfined`; or a profile as JSON."""
    apparmor: str = ""
    selinux: str = ""
    mask: tuple[str, ...] = ()
    unmask: tuple[str, ...] = ()
    """Patterns of paths, or ALL."""
    group_add: tuple[str, ...] = ()
    """Names of the image's group file, or numbers."""


class DeviceRequest(Asked, frozen=True, kw_only=True):
    """A device of the host, or a directory of them."""

    host_path: str
    container_path: str
    access: str = "rwm"


class DeviceRule(Asked, frozen=True, kw_only=True):
    """What may be done with devices; None is every number."""

    type: str
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"


class Devices(Asked, frozen=True, kw_only=True):
    """Devices besides those of every container."""

    requests: tuple[DeviceRequest, ...] = ()
    rules: tuple[DeviceRule, ...] = ()


class Ulimit(Asked, frozen=True, kw_only=True):
    """A resource limit by the name that ulimit(1) has for it; 2**64-1 is none."""

    name: str
    soft: int
    hard: int


class Kernel(Asked, frozen=True, kw_only=True):
    """Settings that the kernel keeps for it."""

    sysctl: Mapping[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int | None = None
    """In bytes; None: DEFAULT_SHM_SIZE."""
    tmpfs: Mapping[str, str] = {}
    """Where, and its options joined by commas."""
    umask: int | None = None
