"""Which cgroup a container gets. config-linux.md#cgroups-path"""

from __future__ import annotations

import os

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_run.spec.config import Spec

PARENT = "aethel-run"
"""Of those whose document names none."""


def of(spec: Spec, container_id: str) -> Cgroup | None:
    """Named by the document, else by the id; None for a user without privilege whose document names none."""
    path = spec.linux.cgroups_path
    if ".." in path.split("/"):
        raise InvalidSpec(f"linux.cgroupsPath: {path!r} leads out of the tree")
    if not path and os.geteuid() != 0:
        return None
    if ":" in path:
        raise Unsupported(f"linux.cgroupsPath: {path!r} is a systemd scope, and --systemd-cgroup was not given")
    return Cgroup(mount_point() / (path.strip("/") or f"{PARENT}/{container_id}"))
