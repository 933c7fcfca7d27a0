"""Which cgroup a container gets, and who makes it. config-linux.md#cgroups-path"""

from __future__ import annotations

import os
from typing import Final

from aethel_common.errors import InvalidArgument
from aethel_common.undo import Undo
from aethel_run.cgroup.making import make_cgroup
from aethel_run.cgroup.managers.manager import Kind, Manager, choose
from aethel_run.cgroup.tree import Cgroup
from aethel_run.spec.config import Spec
from aethel_run.spec.resources import Resources

_FIGURES: Final = frozenset({"cpu", "io", "memory", "pids"})
"""Controllers whose figures callers ask for, whether or not anything is limited."""


def manager(kind: Kind, spec: Spec, container_id: str) -> Manager:
    """For one container. Raises InvalidSpec for a path that its kind cannot read, InvalidArgument.

    A user without privilege who asks for nothing gets none: he has no part of the tree to make it in.
    """
    path = spec.linux.cgroups_path
    if kind is Kind.CGROUPFS and os.geteuid() != 0 and not path:
        kind = Kind.DISABLED
    if kind is Kind.CGROUPFS and path.count(":") == 2 and not path.startswith("/"):
        raise InvalidArgument(
            f"linux.cgroupsPath: {path!r} is slice:prefix:name of systemd", hint="use --systemd-cgroup"
        )
    return choose(kind, path, container_id, user_bus=_user_bus(kind), accounting=_FIGURES)


def _user_bus(kind: Kind) -> str | None:
    if kind is not Kind.SYSTEMD or os.geteuid() == 0:
        return None
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS", f"unix:path={runtime}/bus")


class Limited:
    """A cgroup with the document's limits, made before the container's init or around it."""

    def __init__(self, manager: Manager, resources: Resources) -> None:
        self._manager = manager
        self._resources = resources
        self.cgroup: Cgroup | None = None

    def make(self, undo: Undo) -> Cgroup | None:
        """For clone3; None where the manager wants to see a process first."""
        self._manager.check(self._resources)
        make_cgroup(self._make)
        undo.later(self._remove)
        return self.cgroup

    def _make(self) -> None:
        self.cgroup = self._manager.make(self._resources)

    def adopt(self, pid: int) -> None:
        """Init is there, and waits."""
        self.cgroup = self._manager.adopt(pid, self._resources)

    def _remove(self) -> None:
        if self.cgroup is not None:
            self._manager.remove(self.cgroup)
