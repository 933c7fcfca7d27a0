"""linux.cgroupsPath as `slice:prefix:name`, and the names systemd makes of it. man 5 systemd.slice"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from aethel_common.errors import InvalidSpec

_NAME: Final = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_SLICE: Final = re.compile(r"[A-Za-z0-9:_.\\@]+(-[A-Za-z0-9:_.\\@]+)*\.slice")


@dataclass(frozen=True, slots=True)
class Unit:
    """A scope and the slice it is in."""

    slice: str
    name: str

    @classmethod
    def parse(cls, cgroups_path: str, container_id: str, *, user: bool) -> Unit:
        """Read it; without one, a scope named after the container. Raises InvalidSpec."""
        parts = (cgroups_path or f":aethel:{container_id}").split(":")
        if len(parts) != 3:
            raise InvalidSpec(
                f"linux.cgroupsPath: {cgroups_path!r} is not slice:prefix:name, as the systemd manager needs"
            )
        slice_, prefix, name = parts
        if name.endswith(".slice"):
            raise InvalidSpec(f"linux.cgroupsPath: {name!r} names a slice, and a slice holds no processes")
        slice_ = slice_ or ("user.slice" if user else "system.slice")
        if slice_ == "-":
            slice_ = "-.slice"
        unit = cls(slice_, f"{prefix}-{name}.scope")
        if not name or not _NAME.fullmatch(unit.name):
            raise InvalidSpec(f"linux.cgroupsPath: {unit.name!r} is not a unit's name")
        if slice_ != "-.slice" and not _SLICE.fullmatch(slice_):
            raise InvalidSpec(f"linux.cgroupsPath: {slice_!r} is not a slice's name")
        return unit

    @property
    def path(self) -> PurePosixPath:
        """Below the manager's own cgroup: each dash of a slice's name is a level."""
        if self.slice == "-.slice":
            return PurePosixPath(self.name)
        words = self.slice.removesuffix(".slice").split("-")
        levels = ["-".join(words[: count + 1]) + ".slice" for count in range(len(words))]
        return PurePosixPath(*levels, self.name)
