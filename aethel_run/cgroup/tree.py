"""Make, enter, kill and remove one cgroup. kernel Documentation/admin-guide/cgroup-v2.rst"""

from __future__ import annotations

import errno
import os
import select
import time
from pathlib import Path
from typing import Final

from aethel_common.errors import Unsupported

_WANTED: Final = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def mount_point() -> Path:
    """Where cgroup2 is mounted: /sys/fs/cgroup, or beside the v1 hierarchies. Raises Unsupported. man 5 proc"""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.startswith("cgroup2 "):
                return Path(left.split()[4])
    raise Unsupported("no cgroup2 file system is mounted", hint="mount -t cgroup2 none /sys/fs/cgroup")


class Cgroup:
    """One cgroup by its path; nothing is done before a method is called."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make it and the parents that are missing, passing down every controller that may be passed. Idempotent."""
        if self.path.is_dir():
            return
        parent = Cgroup(self.path.parent)
        parent.make()
        parent.delegate()
        self.path.mkdir(exist_ok=True)
        # The caller's umask is not the container's: on older kernels its root walks here to mount its part of the tree.
        self.path.chmod(0o755)

    def delegate(self) -> None:
        """Let the children have the controllers that this cgroup has."""
        try:
            available = (self.path / "cgroup.controllers").read_text().split()
            enabled = (self.path / "cgroup.subtree_control").read_text().split()
        except FileNotFoundError:
            return
        for controller in _WANTED:
            if controller in available and controller not in enabled:
                try:
                    (self.path / "cgroup.subtree_control").write_text(f"+{controller}")
                except OSError as error:
                    # EBUSY: processes sit in this cgroup itself, so it may not control children
                    # ("no internal processes"); limits that would need it are refused where they are asked for.
                    if error.errno not in (errno.EBUSY, errno.EOPNOTSUPP, errno.ENOENT):
                        raise

    def open(self) -> int:
        """A descriptor of its directory, for clone3; the caller's."""
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def pids(self) -> list[int]:
        """The processes in it; those of children are not counted."""
        try:
            return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]
        except FileNotFoundError:
            return []

    def kill(self) -> None:
        """SIGKILL to all in it and below, at once. cgroup.kill, Linux 5.14"""
        try:
            (self.path / "cgroup.kill").write_text("1")
        except FileNotFoundError:
            pass

    def is_populated(self) -> bool:
        """Whether a process is left in it or below."""
        return self._event("populated") == 1

    def is_frozen(self) -> bool:
        """Whether all in it are paused."""
        return self._event("frozen") == 1

    def oom_killed(self) -> bool:
        """Whether the kernel ended a process of it for want of memory; False where memory is not controlled."""
        try:
            lines = (self.path / "memory.events").read_text().splitlines()
        except FileNotFoundError:
            return False
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)

    def wait_empty(self, seconds: float) -> bool:
        """Wait until nobody is left; False when somebody still is after `seconds`. cgroup.events tells by POLLPRI."""
        deadline = time.monotonic() + seconds
        try:
            file = open(self.path / "cgroup.events", "rb", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            return True
        with file:
            poll = select.poll()
            poll.register(file, select.POLLPRI)
            while self.is_populated():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poll.poll(min(left, 0.5) * 1000)
        return True

    def remove(self) -> None:
        """Remove it and what the container made below; waits a moment for the last process. Idempotent."""
        if not self.path.is_dir():
            return
        self.wait_empty(2)
        for directory, _, _ in os.walk(self.path, topdown=False):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass

    def _event(self, name: str) -> int:
        try:
            lines = (self.path / "cgroup.events").read_text().splitlines()
        except FileNotFoundError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith(name + " ")), 0)
