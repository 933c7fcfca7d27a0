"""Which controllers a cgroup2 tree has, and which are kept from it by v1 hierarchies. man 7 cgroups"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aethel_common.errors import Unsupported

_V1_NAME: Final = {"io": "blkio"}
"""What cgroup v1 calls it, where that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controllers:
    """What can be limited in a tree."""

    mount: Path
    """Its top, as we see it."""
    names: frozenset[str]
    on_v1: frozenset[str] = frozenset()

    def require(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Raise Unsupported for the first controller of `wanted` that is not there; its values are the files it has."""
        for controller in sorted(wanted):
            if controller in self.names:
                continue
            files = ", ".join(sorted(wanted[controller]))
            if _V1_NAME.get(controller, controller) in self.on_v1:
                why = "it is on a v1 hierarchy"
                hint = "boot with systemd.unified_cgroup_hierarchy=1 (cgroup_no_v1=all) to have all of them in cgroup2"
            else:
                why = "it has " + (" ".join(sorted(self.names)) or "none")
                hint = "the kernel lacks it, or a cgroup above does not delegate it"
            message = f"{controller} is not a controller of the cgroup2 tree at {self.mount}; {why}"
            raise Unsupported(f"{message}, so {files} cannot be set", hint=hint)


def controllers(path: Path) -> Controllers:
    """Those that a cgroup at `path`, made or to be made, can have. Raises Unsupported outside of a cgroup2 tree.

    They are those of the tree's top: what a cgroup on the way does not pass down yet, it can be told to.
    """
    within = [place for place in (path, *path.parents) if (place / "cgroup.controllers").exists()]
    if not within:
        raise Unsupported(f"{path} is not in a cgroup2 tree")
    names = (within[-1] / "cgroup.controllers").read_text().split()
    return Controllers(mount=within[-1], names=frozenset(names), on_v1=_on_v1())


def _on_v1() -> frozenset[str]:
    found: set[str] = set()
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, names, _ = line.split(":", 2)
            found |= set(names.split(","))
    return frozenset(name for name in found if name and not name.startswith("name="))
