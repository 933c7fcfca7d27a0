"""Make, enter, kill and remove one cgroup. kernel Documentation/admin-guide/cgroup-v2.rst"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aethel_common.errors import InUse, Unsupported
from aethel_common.undo import Undo
from aethel_run.cgroup import subtree, walk
from aethel_run.cgroup.directory import Directory

_DELEGATED: Final = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
"""What a kernel without /sys/kernel/cgroup/delegate would list. config-linux.md#cgroup-ownership"""


def mount_point() -> Path:
    """Where cgroup2 is mounted: /sys/fs/cgroup, or beside the v1 hierarchies. Raises Unsupported. man 5 proc

    The topmost one that can be reached: another mount may have been put over it.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        found = [line.split()[4] for line in file if line.partition(" - ")[2].startswith("cgroup2 ")]
    for path in reversed(found):
        if os.path.exists(f"{path}/cgroup.controllers"):
            return Path(path)
    raise Unsupported("no cgroup2 file system is mounted", hint="mount -t cgroup2 none /sys/fs/cgroup")


class Cgroup(Directory):
    """A cgroup that we make, fill, empty and remove."""

    def make(self, controllers: Iterable[str] | None = None) -> tuple[Path, ...]:
        """Make it and the parents that are missing; tells what was made, parents first.

        Idempotent; when it fails, nothing that it made is left.

        It gets exactly `controllers`, from whichever ancestor has them, or Unsupported and WrongState say why it
        cannot; without the argument, whatever the parents can pass to what is made.
        """
        made: list[Path] = []
        with Undo() as undo:
            undo.later(lambda: subtree.unmake(made))
            subtree.make(self, None if controllers is None else frozenset(controllers), made)
            undo.keep()
        return tuple(made)

    def delegate(self) -> None:
        """Let the children have the controllers that this cgroup has, as far as the kernel allows."""
        subtree.delegate(self)

    def give_to(self, uid: int, gid: int = -1) -> None:
        """Make a user its manager: the directory and the files that the kernel lists for that. man 7 cgroups

        Only for a cgroup that the container will see as its own root, mounted writable: its limits stay ours.
        """
        try:
            files = Path("/sys/kernel/cgroup/delegate").read_text().split()
        except FileNotFoundError:
            files = list(_DELEGATED)
        os.chown(self.path, uid, gid)
        for file in files:
            try:
                os.chown(self.path / file, uid, gid)
            except FileNotFoundError:
                pass  # the list is of all that there can be

    def add(self, pid: int) -> None:
        """Move a process into it. Raises OSError: EBUSY when it has children with controllers, ESRCH, EACCES."""
        self.write("cgroup.procs", str(pid))

    def kill(self) -> None:
        """SIGKILL to all in it and below, at once. cgroup.kill, Linux 5.14"""
        try:
            self.write("cgroup.kill", "1")
        except FileNotFoundError:
            self.kill_each()

    def kill_each(self, seconds: float = 10) -> None:
        """The same by kill(2), for kernels without cgroup.kill: held still, so that no fork outruns it.

        Raises InUse when somebody is left after `seconds`.
        """
        if not self.path.is_dir():
            return
        deadline = time.monotonic() + seconds
        self.write("cgroup.freeze", "1")  # the kernel ends frozen processes too
        try:
            while self.is_populated():
                for pid in self.pids(recursive=True):
                    _kill(pid)
                if self.wait_for("populated", 0, 0.05):
                    return
                if time.monotonic() > deadline:
                    raise self._in_use()
        finally:
            self.write("cgroup.freeze", "0")

    def oom_killed(self) -> bool:
        """Whether the kernel ended a process of it for want of memory; False where memory is not controlled."""
        lines = (self.read("memory.events") or "").splitlines()
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)

    def remove(self) -> None:
        """Remove it and what the container made below; waits a moment for the last process. Idempotent.

        Raises InUse when processes are left.
        """
        if not self.path.is_dir():
            return
        self.wait_empty(2)
        for parent_fd, name in walk.below(self.path):
            self._rmdir(name, parent_fd)
        self._rmdir(str(self.path), None)

    def _rmdir(self, name: str, directory_fd: int | None) -> None:
        # EBUSY for a moment after the last process has gone: the kernel lets go of its dead in its own time.
        pause = 0.001
        while True:
            try:
                os.rmdir(name, dir_fd=directory_fd)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                if pause > 0.5:
                    raise self._in_use() from error
            time.sleep(pause)
            pause *= 2

    def _in_use(self) -> InUse:
        pids = self.pids(recursive=True)
        return InUse(f"cgroup {self.path} is not empty: processes {' '.join(map(str, pids[:10])) or 'unknown'}")


def _kill(pid: int) -> None:
    if pid == 0:
        return  # a process of another PID namespace; kill(2) would take it for our own group
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
