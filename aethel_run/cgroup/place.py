"""Where a container's cgroup is: linux.cgroupsPath to a directory. config-linux.md#cgroups-path"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from aethel_common.errors import InvalidSpec, Unsupported


def own_path() -> PurePosixPath:
    """Our own cgroup's path in the cgroup2 tree, from its mount's root. Raises Unsupported. man 7 cgroups"""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.startswith("0::"):
                return PurePosixPath(line.removeprefix("0::").rstrip("\n").removesuffix(" (deleted)"))
    raise Unsupported("this process is in no cgroup of a cgroup2 tree")


def resolve(cgroups_path: str, container_id: str, *, mount: Path, own: PurePosixPath) -> Path:
    """The directory for a container, made or not. Raises InvalidSpec, Unsupported.

    Absolute is below the mount. Relative is below the parent of our `own` cgroup: that itself holds processes, us, and
    so can limit nothing below it. Empty is a cgroup named after the container there.
    """
    if "\0" in cgroups_path or "\n" in cgroups_path or ".." in PurePosixPath(cgroups_path).parts:
        raise InvalidSpec(f"linux.cgroupsPath: {cgroups_path!r} is not a plain path")
    if cgroups_path.startswith("/"):
        inner = PurePosixPath(cgroups_path.lstrip("/"))
        if inner == PurePosixPath("."):
            raise InvalidSpec("linux.cgroupsPath: / is the root of all cgroups, not one for a container")
        return mount / inner
    if ".." in own.parts:
        raise Unsupported(
            f"our own cgroup {own} is outside of our cgroup namespace, and linux.cgroupsPath is relative to it",
            hint="use an absolute linux.cgroupsPath",
        )
    inner = PurePosixPath(cgroups_path)
    if inner == PurePosixPath("."):
        inner = PurePosixPath(f"aethel-{container_id}")
    return mount / own.parent.relative_to("/") / inner
