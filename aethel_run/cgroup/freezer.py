"""Hold every process of a cgroup still, and let it go on. cgroup-v2.rst, cgroup.freeze"""

from __future__ import annotations

from typing import Final

from aethel_common.errors import NotFound, TimedOut, Unsupported
from aethel_run.cgroup.tree import Cgroup

SECONDS: Final = 10.0


def pause(cgroup: Cgroup, seconds: float = SECONDS) -> None:
    """Freeze it and all below; returns once nothing in it runs.

    Raises TimedOut when something cannot be stopped in time (in the kernel's hands, waiting for a disk perhaps); all of
    it runs on then.
    """
    _set(cgroup, "1")
    if cgroup.wait_for("frozen", 1, seconds):
        return
    _set(cgroup, "0")
    raise TimedOut(f"cgroup {cgroup.path} did not freeze within {seconds:g} s; it runs on")


def resume(cgroup: Cgroup, seconds: float = SECONDS) -> None:
    """Let it go on. Raises TimedOut when it stays frozen: a cgroup above it is."""
    _set(cgroup, "0")
    if not cgroup.wait_for("frozen", 0, seconds):
        raise TimedOut(f"cgroup {cgroup.path} is still frozen", hint="a cgroup above it is frozen")


def is_frozen(cgroup: Cgroup) -> bool:
    """Whether all of it stands still."""
    return "frozen 1" in (cgroup.read("cgroup.events") or "").splitlines()


def _set(cgroup: Cgroup, state: str) -> None:
    try:
        cgroup.write("cgroup.freeze", state)
    except FileNotFoundError:
        if not cgroup.path.is_dir():
            raise NotFound(f"no cgroup {cgroup.path}") from None
        raise Unsupported(f"{cgroup.path} has no cgroup.freeze: the tree's root, or Linux before 5.2") from None
