"""No cgroup: the container stays where its caller is, and nothing is limited."""

from __future__ import annotations

from aethel_common.errors import Unsupported
from aethel_run.cgroup import devices, limits
from aethel_run.cgroup.devices import ALL_ACCESS
from aethel_run.cgroup.tree import Cgroup
from aethel_run.spec.resources import Resources


class Disabled:
    """For hosts where we may make none, and for callers who keep that to themselves."""

    def check(self, resources: Resources) -> None:
        """Raise Unsupported for any limit.

        A device rule on all of r, w and m passes, as in crun: every generated document has some, to say what is usual.
        """
        files = sorted({write.file for write in limits.writes(resources)})
        if files:
            raise Unsupported(f"cgroups are disabled, so {', '.join(files)} cannot be set")
        if any(rule.access != ALL_ACCESS for rule in devices.parse(resources.devices)):
            raise Unsupported("cgroups are disabled, so linux.resources.devices cannot tell kinds of access apart")

    def make(self, resources: Resources) -> None:
        """Nothing."""
        self.check(resources)

    def adopt(self, pid: int, resources: Resources) -> None:
        """Nothing."""

    def update(self, cgroup: Cgroup, resources: Resources) -> None:
        """Refuse: there is nothing to change."""
        self.check(resources)

    def join(self, cgroup: Cgroup, pid: int) -> None:
        """Nothing."""

    def remove(self, cgroup: Cgroup) -> None:
        """Nothing: what is there is not ours."""
