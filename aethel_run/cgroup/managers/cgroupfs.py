"""A cgroup made by our own hand: directories, limits in files, device rules in a program."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

from aethel_common.errors import NotPermitted, Unsupported, WrongState
from aethel_common.undo import Undo
from aethel_run.cgroup import devices, freezer, limits, subtree
from aethel_run.cgroup.controllers import Controllers, controllers
from aethel_run.cgroup.present import present
from aethel_run.cgroup.tree import Cgroup
from aethel_run.spec.resources import DeviceRule, Resources

_WHOLE_RANGE: Final = ("0", "0", "4294967295")


class Cgroupfs:
    """The container is born in `cgroup`, so that it is never without its limits."""

    def __init__(self, cgroup: Cgroup, *, accounting: frozenset[str] = frozenset()) -> None:
        """`accounting` names controllers that nothing limits but whose figures are wanted; enabled where possible."""
        self.cgroup = cgroup
        self._accounting = accounting

    def check(self, resources: Resources) -> None:
        """Before anything is made."""
        _check(resources, controllers(self.cgroup.path))

    def make(self, resources: Resources) -> Cgroup:
        """Make it, write its limits, attach its device program.

        Raises what `check` does, WrongState when it is somebody's already or frozen, InvalidArgument, OSError.
        """
        found = controllers(self.cgroup.path)
        _check(resources, found)
        self._refuse_unfit()
        with Undo() as undo:
            made = self.cgroup.make(limits.needed(resources))
            undo.later(lambda: subtree.unmake(made))
            self._account(found)
            limits.apply(self.cgroup, resources)
            _rule_devices(self.cgroup, resources.devices)
            undo.keep()
        return self.cgroup

    def adopt(self, pid: int, resources: Resources) -> Cgroup:
        """It is there since its birth."""
        return self.cgroup

    def update(self, cgroup: Cgroup, resources: Resources) -> None:
        """Write what is set in `resources`; the rest stays. Controllers that are missing still are enabled."""
        limits.check(resources, controllers(cgroup.path), present(cgroup))
        cgroup.make(limits.needed(resources))
        limits.apply(cgroup, resources)

    def join(self, cgroup: Cgroup, pid: int) -> None:
        """Move it in; a caller that clones into `cgroup` need not."""
        cgroup.add(pid)

    def remove(self, cgroup: Cgroup) -> None:
        """Remove it and those below."""
        cgroup.remove()

    def _refuse_unfit(self) -> None:
        """Two containers in one would end each other's processes; a frozen one would not start. config-linux.md"""
        if self.cgroup.is_populated():
            pids = " ".join(map(str, self.cgroup.pids(recursive=True)[:10]))
            raise WrongState(f"cgroup {self.cgroup.path} has processes already ({pids})")
        if freezer.is_frozen(self.cgroup):
            raise WrongState(f"cgroup {self.cgroup.path} is frozen")

    def _account(self, found: Controllers) -> None:
        for controller in sorted(self._accounting & found.names):
            try:
                self.cgroup.make([controller])
            except (Unsupported, WrongState):
                pass  # figures only: what must hold was asked for before


def _check(resources: Resources, found: Controllers) -> None:
    devices.parse(resources.devices)
    limits.check(resources, found)


def _rule_devices(cgroup: Cgroup, rules: Sequence[DeviceRule]) -> None:
    try:
        devices.attach(cgroup, rules)
    except PermissionError as error:
        # In a user namespace bpf(2) is out of reach, and so are device nodes of its own making.
        if not _in_user_namespace():
            raise NotPermitted(
                "device rules need CAP_BPF and CAP_NET_ADMIN: bpf(2) refuses", hint=str(error)
            ) from error
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOSYS):
            raise Unsupported(f"this kernel takes no device program (CONFIG_CGROUP_BPF): {error}") from error
        raise


def _in_user_namespace() -> bool:
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return tuple(file.read().split()) != _WHOLE_RANGE
