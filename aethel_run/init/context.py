"""Init: all that a step may know. Steps pass nothing to each other but the kernel's state."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.process import Process
from aethel_run.spec.state import State

if TYPE_CHECKING:
    from aethel_run.seccomp.compile import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """What to do, and the descriptors to do it with."""

    spec: Spec
    process: Process
    """spec.process after its user was looked up in the image; of an exec, the process that joins."""
    rootfs_fd: int
    """A detached mount until `attach_rootfs`, then the container's root; -1 for one that joins."""
    sources: Mapping[int, int]
    """Detached mounts for the bind mounts, by their index in spec.mounts."""
    stdio: tuple[int, int, int] | None
    """To become 0, 1 and 2; None with a terminal."""
    sync: socket.socket
    state: State
    """What hooks are told."""
    filter: Filter | None = None
    """The document's seccomp profile, compiled."""
    new_keyring: bool = True
    """Not the caller's session keyring."""
    preserved_fds: int = 0
    """How many descriptors from 3 on stay open for the program."""
    without: frozenset[str] = frozenset()
    """Names of protections that are left out, for teaching; see `init.protections`."""

    @property
    def sets_no_new_privs(self) -> bool:
        """Whether no program can gain privileges by the time that the last steps run."""
        return self.process.no_new_privileges and "set_no_new_privs" not in self.without

    def has(self, kind: NamespaceType) -> bool:
        """Whether the container has a namespace of that kind to itself."""
        return self.spec.linux.has(kind)
