"""A transient scope for a container: made over D-Bus with all its properties at once (`--systemd-cgroup`).

systemd owns the device rules too: a program of ours beside its own would outlive or contradict it at the next reload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aethel_common.undo import Undo
from aethel_run.cgroup import limits, memory
from aethel_run.cgroup.controllers import controllers
from aethel_run.cgroup.managers.bus import SYSTEM_BUS, Systemd1, systemd
from aethel_run.cgroup.managers.properties import Property, device_properties, oom_policy, render
from aethel_run.cgroup.managers.unit import Unit
from aethel_run.cgroup.present import present
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_run.spec.resources import Resources

_ACCOUNTING: Final = ("CPUAccounting", "IOAccounting", "MemoryAccounting", "TasksAccounting")


class Systemd:
    """A scope cannot be without a process: the container's init is moved into it while it waits."""

    def __init__(self, unit: Unit, *, user_bus: str | None = None) -> None:
        """`user_bus` is the D-Bus address of a user's own systemd; None is the system's."""
        self.unit = unit
        self._address = user_bus or SYSTEM_BUS

    def check(self, resources: Resources) -> None:
        """Raise InvalidSpec, Unsupported, and Unavailable when no systemd answers."""
        device_properties(resources.devices)
        limits.check(resources, controllers(mount_point()))
        with systemd(self._address) as manager:
            manager.version()

    def make(self, resources: Resources) -> None:
        """Nothing yet."""
        self.check(resources)

    def adopt(self, pid: int, resources: Resources) -> Cgroup:
        """Start the scope around that process. Raises AethelError, OSError."""
        with systemd(self._address) as manager, Undo() as undo:
            cgroup = self._cgroup(manager)
            writes, version = limits.writes(resources), manager.version()
            properties, rest = render(writes, version)
            manager.reset_failed(self.unit.name)  # one of that name may be left from a boot's earlier hours
            manager.start_transient(
                self.unit.name,
                (
                    *_scope(self.unit, pid),
                    *device_properties(resources.devices),
                    *properties,
                    *oom_policy(writes, version),
                ),
            )
            undo.later(lambda: manager.stop(self.unit.name))
            for write in rest:
                limits.put(cgroup, write)
            undo.keep()
        return cgroup

    def update(self, cgroup: Cgroup, resources: Resources) -> None:
        """Tell systemd, then write what it has no word for."""
        now = present(cgroup)
        limits.check(resources, controllers(cgroup.path), now)
        memory.refuse_below_usage(resources.memory, now)
        with systemd(self._address) as manager:
            properties, rest = render(limits.writes(resources, now), manager.version())
            manager.set_properties(self.unit.name, properties)
            for write in rest:
                limits.put(cgroup, write)

    def join(self, cgroup: Cgroup, pid: int) -> None:
        """Over D-Bus: without root the caller may not move processes between units."""
        with systemd(self._address) as manager:
            manager.attach(self.unit.name, pid)

    def remove(self, cgroup: Cgroup) -> None:
        """Stop the scope and have it forgotten, then remove what is left of its cgroup."""
        with systemd(self._address) as manager:
            manager.stop(self.unit.name)
            manager.reset_failed(self.unit.name)
        cgroup.remove()

    def _cgroup(self, manager: Systemd1) -> Cgroup:
        above = Path(manager.control_group().lstrip("/"))
        return Cgroup(mount_point() / above / self.unit.path)


def _scope(unit: Unit, pid: int) -> tuple[Property, ...]:
    return (
        ("Description", ("s", f"container {unit.name.removesuffix('.scope')}")),
        ("Slice", ("s", unit.slice)),
        ("Delegate", ("b", True)),
        ("PIDs", ("au", [pid])),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
        *((name, ("b", True)) for name in _ACCOUNTING),
    )
