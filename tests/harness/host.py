"""What a host looks like, so that before and after can be compared."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from aethel_run.cgroup.tree import mount_point


def mounts() -> list[str]:
    """Mount points of this mount namespace."""
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def links(prefix: str) -> list[str]:
    """Network links whose name begins so."""
    return sorted(path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(prefix))


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


def children(pid: int) -> list[int]:
    """The processes that a process has made and not reaped. man 5 proc, /proc/PID/stat"""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def wait_until(true: Callable[[], object], seconds: float = 10) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
