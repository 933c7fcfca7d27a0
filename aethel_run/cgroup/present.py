"""What limits a cgroup has now, which decides what an update may write first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aethel_run.cgroup.directory import Directory

_DEFAULT_PERIOD: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is in force now; without arguments, a new cgroup's. Bytes and microseconds, None is without a limit."""

    memory_max: int | None = None
    swap_max: int | None = None
    memory_current: int = 0
    swap_current: int = 0
    quota: int | None = None
    period: int = _DEFAULT_PERIOD


def present(cgroup: Directory) -> Present:
    """Read it; what is not there is as in a new cgroup."""
    quota, _, period = (cgroup.read("cpu.max") or f"max {_DEFAULT_PERIOD}").partition(" ")
    return Present(
        memory_max=_bound(cgroup.read("memory.max")),
        swap_max=_bound(cgroup.read("memory.swap.max")),
        memory_current=_bound(cgroup.read("memory.current")) or 0,
        swap_current=_bound(cgroup.read("memory.swap.current")) or 0,
        quota=_bound(quota),
        period=int(period),
    )


def _bound(text: str | None) -> int | None:
    return None if text is None or text.strip() == "max" else int(text)
