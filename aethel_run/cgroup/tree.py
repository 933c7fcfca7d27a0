"""Make, enter, kill and remove one cgroup. kernel Documentation/admin-guide/cgroup-v2.rst"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from aethel_common.errors import InUse, Unsupported, WrongState
from aethel_common.undo import Undo
from aethel_run.cgroup import walk

_WANTED: Final = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
THREADED: Final = frozenset({"cpu", "cpuset", "perf_event", "pids"})
"""The controllers that may work between the threads of one process. cgroup-v2.rst#threads"""
_DELEGATED: Final = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
"""What a kernel without /sys/kernel/cgroup/delegate would list. config-linux.md#cgroup-ownership"""


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

    def read(self, file: str) -> str | None:
        """A file of it; None where there is none (or the cgroup is gone)."""
        try:
            return (self.path / file).read_text()
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ENODEV:  # removed between open and read
                return None
            raise

    def write(self, file: str, text: str) -> None:
        """Write into a file of it, in one write(2). Raises OSError with the path; never makes a file."""
        path = str(self.path / file)
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        except OSError as error:
            raise OSError(error.errno, f"write(2): {os.strerror(error.errno or 0)}", path) from None
        finally:
            os.close(fd)

    def make(self, controllers: Iterable[str] | None = None) -> tuple[Path, ...]:
        """Make it and the parents that are missing; tells what was made, parents first.

        Idempotent; when it fails, nothing that it made is left.

        It gets exactly `controllers`, from whichever ancestor has them, or Unsupported and WrongState say why it
        cannot; without the argument, whatever the parents can pass to what is made.
        """
        made: list[Path] = []
        with Undo() as undo:
            undo.later(lambda: unmake(made))
            self._make(None if controllers is None else frozenset(controllers), made)
            undo.keep()
        return tuple(made)

    def _make(self, wanted: frozenset[str] | None, made: list[Path]) -> None:
        missing = not self.path.is_dir()
        if not missing and not wanted:
            return
        parent = Cgroup(self.path.parent)
        if not parent.path.is_dir():
            parent._make(wanted, made)
        if wanted is None:
            parent.delegate()
        else:
            parent.pass_down(wanted)
        if missing:
            self._make_directory(wanted or frozenset(), made)

    def _make_directory(self, wanted: frozenset[str], made: list[Path]) -> None:
        try:
            self.path.mkdir()
        except FileExistsError:
            return
        made.append(self.path)
        # The caller's umask is not the container's: on older kernels its root walks here to mount its part of the tree.
        self.path.chmod(0o755)
        if (self.read("cgroup.type") or "").strip() == "domain invalid":
            self._become_threaded(wanted)

    def _become_threaded(self, wanted: frozenset[str]) -> None:
        """Below a threaded cgroup only threaded ones can hold processes."""
        if wanted - THREADED:
            names = " ".join(sorted(wanted - THREADED))
            raise Unsupported(f"{self.path} is below a threaded cgroup, where {names} cannot be limited")
        self.write("cgroup.type", "threaded")

    def pass_down(self, controllers: Iterable[str]) -> None:
        """Let its children have these controllers, and its ancestors pass them as far as that needs.

        Raises Unsupported for one that the whole tree lacks, WrongState when processes are in the way.
        """
        missing = frozenset(controllers) - frozenset((self.read("cgroup.subtree_control") or "").split())
        if not missing:
            return
        above = missing - frozenset((self.read("cgroup.controllers") or "").split())
        if above:
            parent = Cgroup(self.path.parent)
            if parent.read("cgroup.controllers") is None:
                raise Unsupported(f"{' '.join(sorted(above))}: not a controller of the cgroup2 tree at {self.path}")
            parent.pass_down(above)
        self._enable(sorted(missing))

    def _enable(self, controllers: list[str]) -> None:
        # Asked before the kernel is: it would take a threaded controller here, and spoil the children for processes.
        if not self._is_root() and self.pids():
            raise self._occupied(controllers)
        try:
            self.write("cgroup.subtree_control", " ".join(f"+{controller}" for controller in controllers))
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise self._occupied(controllers) from error
            if error.errno == errno.EOPNOTSUPP:
                raise Unsupported(f"{self.path} is threaded: it cannot pass {' '.join(controllers)} down") from error
            raise

    def _occupied(self, controllers: list[str]) -> WrongState:
        pids = " ".join(map(str, self.pids()[:10]))
        return WrongState(
            f"{self.path} holds processes ({pids}), so the kernel lets it pass {' '.join(controllers)} to no cgroup below",
            hint="move them into a cgroup of their own, or choose another linux.cgroupsPath",
        )

    def _is_root(self) -> bool:
        """The tree's own root alone has no type, and may have both processes and children with controllers."""
        return self.read("cgroup.type") is None

    def delegate(self) -> None:
        """Let the children have the controllers that this cgroup has, as far as the kernel allows."""
        available = (self.read("cgroup.controllers") or "").split()
        enabled = (self.read("cgroup.subtree_control") or "").split()
        for controller in _WANTED:
            if controller in available and controller not in enabled:
                try:
                    self.write("cgroup.subtree_control", f"+{controller}")
                except OSError as error:
                    # EBUSY: processes sit in this cgroup itself, so it may not control children
                    # ("no internal processes"); limits that would need it are refused where they are asked for.
                    if error.errno not in (errno.EBUSY, errno.EOPNOTSUPP, errno.ENOENT):
                        raise

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

    def open(self) -> int:
        """A descriptor of its directory, for clone3; the caller's."""
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def add(self, pid: int) -> None:
        """Move a process into it. Raises OSError: EBUSY when it has children with controllers, ESRCH, EACCES."""
        self.write("cgroup.procs", str(pid))

    def pids(self, *, recursive: bool = False) -> list[int]:
        """The processes in it, and with `recursive` in those below."""
        try:
            fd = self.open()
        except FileNotFoundError:
            return []
        try:
            found = _processes(fd, ".")
        finally:
            os.close(fd)
        if recursive:
            for parent_fd, name in walk.below(self.path):
                found += _processes(parent_fd, name)
        return found

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

    def is_populated(self) -> bool:
        """Whether a process is left in it or below."""
        return _event(self.read("cgroup.events") or "", "populated") == 1

    def oom_killed(self) -> bool:
        """Whether the kernel ended a process of it for want of memory; False where memory is not controlled."""
        lines = (self.read("memory.events") or "").splitlines()
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)

    def wait_empty(self, seconds: float) -> bool:
        """Wait until nobody is left; False when somebody still is after `seconds`."""
        return self.wait_for("populated", 0, seconds)

    def wait_for(self, event: str, value: int, seconds: float) -> bool:
        """Wait until cgroup.events says so; False when it does not within `seconds`. True too once it is removed."""
        deadline = time.monotonic() + seconds
        try:
            fd = os.open(self.path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            poll = select.poll()
            poll.register(fd, select.POLLPRI)
            # Read through the descriptor that is polled: that is what makes the kernel tell of the next change.
            while _event(os.pread(fd, 4096, 0).decode(), event) != value:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poll.poll(left * 1000)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        finally:
            os.close(fd)
        return True

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


def unmake(made: Sequence[Path]) -> None:
    """Take back what `make` made, but for what somebody else has begun to use meanwhile."""
    for directory in reversed(made):
        try:
            directory.rmdir()
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT):
                raise


def _processes(directory_fd: int, name: str) -> list[int]:
    """Those of one cgroup; a threaded one tells its threads only."""
    for file in ("cgroup.procs", "cgroup.threads"):
        try:
            fd = os.open(f"{name}/{file}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
            with open(fd, encoding="ascii") as lines:
                return [int(line) for line in lines]
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return []
            if error.errno != errno.EOPNOTSUPP:
                raise
    return []


def _kill(pid: int) -> None:
    if pid == 0:
        return  # a process of another PID namespace; kill(2) would take it for our own group
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _event(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " ")), 0)
