"""What a host looks like, so that before and after can be compared."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from aethel_run.cgroup.tree import mount_point

_SLOWNESS = float(os.environ.get("AETHEL_TEST_SLOWNESS", "1"))


def patience(seconds: float) -> float:
    """How long to wait before giving up on what takes less on the development machine; a second kernel is slower."""
    return seconds * _SLOWNESS


def mounts_of(root: Path) -> list[str]:
    """Mounts of this mount namespace that can be a daemon's own: in its directories, of them, or made from them.

    Not all that the host has: others mount and unmount while a test runs. Everything that a daemon mounts has its root
    directory in its line: as the mount point, as what is bound, or in an overlay's options.
    """
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line]


def names_in(directory: Path) -> list[str]:
    """Of a directory that need not be there."""
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def children(pid: int) -> list[int]:
    """Processes that it has forked and that are still there. man 5 proc"""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_bytes().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone meanwhile
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return sorted(found)


def ports_of(bridge: str) -> list[str]:
    """Links that are attached to a bridge."""
    directory = Path(f"/sys/class/net/{bridge}/brif")
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def cgroups(parent: str) -> list[str]:
    """Cgroups below one of ours."""
    directory = mount_point() / parent
    return sorted(path.name for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


def tables() -> list[str]:
    """nftables tables."""
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return sorted(done.stdout.splitlines())


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def wait_until(true: Callable[[], object], seconds: float = 10) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + patience(seconds)
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
