"""A procfs that nobody else has touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aethel_common.linux import namespaces, procfs
from aethel_common.linux.namespaces import CloneFlags


def test_our_own_procfs_shows_ourselves() -> None:
    """CVE-2025-52881: written through a procfs that nobody else has touched."""
    with procfs.private() as proc_fd:
        assert procfs.read(proc_fd, "self/comm") == Path("/proc/self/comm").read_text().strip()
        procfs.write(proc_fd, "self/comm", "renamed")
        assert procfs.read(proc_fd, "self/comm") == "renamed"
        with pytest.raises(OSError, match="openat2"):
            procfs.read(proc_fd, "self/cwd/etc/passwd")


def test_a_procfs_of_our_own_in_a_user_namespace() -> None:
    """CVE-2025-52881: of the PID namespace that init is in."""
    reading, writing = os.pipe()
    pid, pidfd = namespaces.clone3(CloneFlags.NEWUSER | CloneFlags.NEWPID | CloneFlags.NEWNS)
    if pid == 0:
        try:
            os.write(writing, procfs.read(procfs.open_private(), "self/status").encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as output:
        status = output.read()
    os.waitpid(pid, 0)
    os.close(pidfd)
    assert "\nPid:\t1\n" in status
