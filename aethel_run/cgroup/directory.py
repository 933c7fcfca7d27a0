"""A cgroup's directory: its files, its processes, its events. cgroup-v2.rst#interface-files"""

from __future__ import annotations

import errno
import os
import select
import time
from pathlib import Path

from aethel_common.linux import calls
from aethel_run.cgroup import walk


class Directory:
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
        fd = calls.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            calls.write(fd, text.encode())
        except OSError as error:
            raise OSError(error.errno, f"write(2): {os.strerror(error.errno or 0)}", path) from None
        finally:
            os.close(fd)

    def open(self) -> int:
        """A descriptor of its directory, for clone3; the caller's."""
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

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

    def is_populated(self) -> bool:
        """Whether a process is left in it or below."""
        return _event(self.read("cgroup.events") or "", "populated") == 1

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


def _event(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " ")), 0)
