"""update: change the limits of a container that is there."""

from __future__ import annotations

import msgspec

from aethel_common.errors import Unsupported, WrongState
from aethel_run.cgroup import update as merging
from aethel_run.cgroup.managers.manager import Kind
from aethel_run.operations import cgroups
from aethel_run.spec.load import encode
from aethel_run.spec.resources import Resources
from aethel_run.state import Container
from aethel_run.status import Status


def update(container: Container, resources: Resources) -> None:
    """Put what is set in `resources` in force; the rest stays. Raises WrongState, Unsupported, InvalidSpec, OSError."""
    with container.locked():
        if container.status is Status.STOPPED:
            raise WrongState("container not running")
        cgroup = container.cgroup
        if cgroup is None:
            raise Unsupported(f"container {container.id} has no cgroup, and so no limits")
        manager = cgroups.manager(Kind(container.record.cgroup_manager), container.spec, container.id)
        manager.update(cgroup, resources)
        spec = container.spec
        merged = merging.merge(spec.linux.resources, resources)
        container.write_spec(
            encode(msgspec.structs.replace(spec, linux=msgspec.structs.replace(spec.linux, resources=merged)))
        )
