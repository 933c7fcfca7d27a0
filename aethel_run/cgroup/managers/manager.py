"""The three ways to a container's cgroup (`--cgroup-manager`), with one order of use.

    manager.check(resources)                    before anything is made
    cgroup = manager.make(resources)            None: the container's init is born where we are
    ... clone3 into it, init waits ...
    cgroup = manager.adopt(pid, resources)      before init is let go on; where it is, to be kept in its state
    manager.update(cgroup, resources)           at any time after
    manager.join(cgroup, pid)                   a process of `exec`
    manager.remove(cgroup)                      when it is empty

Freezing, killing and figures need no manager: they are the cgroup's own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from aethel_run.cgroup import place
from aethel_run.cgroup.managers.cgroupfs import Cgroupfs
from aethel_run.cgroup.managers.disabled import Disabled
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_run.spec.resources import Resources


class Manager(Protocol):
    """Each method is safe to repeat, and leaves nothing of its own behind when it raises."""

    def check(self, resources: Resources) -> None:
        """Raise InvalidSpec, Unsupported or Unavailable if these limits cannot be had."""

    def make(self, resources: Resources) -> Cgroup | None:
        """Make what can be made without a process, with the limits in force."""

    def adopt(self, pid: int, resources: Resources) -> Cgroup | None:
        """See to it that the container's init is in its cgroup, with the limits in force."""

    def update(self, cgroup: Cgroup, resources: Resources) -> None:
        """Change the limits of a container that is there; its device rules stay as they are."""

    def join(self, cgroup: Cgroup, pid: int) -> None:
        """Move a further process in."""

    def remove(self, cgroup: Cgroup) -> None:
        """Remove it, and what the container made below. Raises InUse when processes are left."""


class Kind(StrEnum):
    """The words of `--cgroup-manager`."""

    CGROUPFS = "cgroupfs"
    SYSTEMD = "systemd"
    DISABLED = "disabled"


def choose(
    kind: Kind,
    cgroups_path: str,
    container_id: str,
    *,
    user_bus: str | None = None,
    accounting: frozenset[str] = frozenset(),
) -> Manager:
    """The manager for one container. Raises InvalidSpec for a linux.cgroupsPath that it cannot read.

    `user_bus` is the D-Bus address of the user's own systemd, for one without root; None is the system's. `accounting`
    names controllers whose figures are wanted; systemd's scopes have them all.
    """
    if kind is Kind.DISABLED:
        return Disabled()
    if kind is Kind.SYSTEMD:
        from aethel_run.cgroup.managers.systemd import Systemd  # brings the D-Bus library
        from aethel_run.cgroup.managers.unit import Unit

        unit = Unit.parse(cgroups_path, container_id, user=user_bus is not None)
        return Systemd(unit, user_bus=user_bus)
    path = place.resolve(cgroups_path, container_id, mount=mount_point(), own=place.own_path())
    return Cgroupfs(Cgroup(path), accounting=accounting)
