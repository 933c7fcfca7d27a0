"""proc, sysfs, cgroup, mqueue and devpts: config-linux.md#default-filesystems, in every set of namespaces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aethel_common.errors import StepFailed
from aethel_common.linux import mounts
from aethel_common.linux.mounts import MountFlags
from tests.harness.bundle import Bundle, bind, in_shared_mounts, mount

KINDS = ("pid", "network", "ipc", "uts", "mount", "cgroup", "user")


def without(*kinds: str, users: bool = False) -> dict[str, Any]:
    """The default namespaces but some."""
    left = [{"type": kind} for kind in KINDS if kind not in kinds and (users or kind != "user")]
    return {"linux.namespaces": left}


@pytest.mark.parametrize("users", [False, True])
def test_all_of_them_are_there_by_default(bundle: Bundle, users: bool) -> None:
    """config-linux.md#default-filesystems"""
    table = bundle.mounts(users=users)
    kinds = {point: table[point].kind for point in ("/proc", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue")}
    assert kinds == {
        "/proc": "proc",
        "/sys": "sysfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
    }
    assert table["/sys/fs/cgroup"].kind == "cgroup2"
    assert "ro" in table["/sys/fs/cgroup"].options


@pytest.mark.parametrize("users", [False, True])
def test_proc_shows_the_containers_own_processes(bundle: Bundle, users: bool) -> None:
    """config-linux.md#namespaces: pid."""
    assert bundle.run("echo $$; ls -d /proc/[0-9]* | wc -l", users=users).lines[0] == "1"


@pytest.mark.parametrize("users", [False, True])
def test_proc_without_a_pid_namespace_shows_the_hosts(bundle: Bundle, users: bool) -> None:
    """config-linux.md#namespaces: one that is not specified MUST be inherited."""
    changes = without("pid", users=users)
    done = bundle.run("readlink /proc/self; ls -d /proc/[0-9]* | wc -l; test -d /proc/1", changes, users=users)
    assert done.status == 0, done.out
    # With a user namespace it is the host's own mount: the attributes of the document hold.
    assert {"nosuid", "nodev", "noexec"} <= bundle.mounts(changes, users=users)["/proc"].options


@pytest.mark.parametrize("users", [False, True])
def test_sysfs_without_a_network_namespace_shows_the_hosts(bundle: Bundle, users: bool) -> None:
    """A user namespace may not mount sysfs of a network namespace that is not its own: it sees the host's, read-only."""
    changes = without("network", users=users)
    table = bundle.mounts(changes, users=users, script="test -d /sys/kernel && test -d /sys/class/net")
    assert table["/sys"].kind == "sysfs"
    assert {"ro", "nosuid", "nodev", "noexec"} <= table["/sys"].options
    below = [line for point, line in table.items() if point.startswith("/sys/")]
    assert all("ro" in line.options for line in below)


def test_mqueue_without_an_ipc_namespace_shows_the_hosts(bundle: Bundle) -> None:
    """The same for the IPC namespace, if the host has a queue file system; else an error."""
    changes = without("ipc", users=True)
    if os.path.ismount("/dev/mqueue"):
        assert bundle.mounts(changes, users=True)["/dev/mqueue"].kind == "mqueue"
    else:
        with pytest.raises(StepFailed, match="mqueue"), bundle.created(changes=changes, users=True):
            pass


@pytest.mark.parametrize("users", [False, True])
def test_a_cgroup_namespace_shows_the_containers_part(bundle: Bundle, users: bool) -> None:
    """config-linux.md#namespaces: cgroup: an isolated view of the cgroup hierarchy."""
    done = bundle.run("cat /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs | grep -c 1", users=users)
    assert "0::/" in done.lines


@pytest.mark.parametrize("users", [False, True])
def test_without_a_cgroup_namespace_its_own_cgroup_is_bound(bundle: Bundle, users: bool) -> None:
    """Not the whole tree: what it may see is where it is."""
    own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    line = bundle.mounts(without("cgroup", users=users), users=users)["/sys/fs/cgroup"]
    assert (line.kind, line.root) == ("cgroup2", own)
    assert {"ro", "nosuid", "nodev", "noexec"} <= line.options


def test_mounting_it_does_not_change_how_the_host_mounted_it(bundle: Bundle) -> None:
    """cgroup2's options are those of the whole hierarchy: a mount outside a cgroup namespace would set them anew."""

    def options() -> list[str]:
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line]

    before = options()
    bundle.run("true", without("cgroup"))
    bundle.run("true")
    assert options() == before


@pytest.mark.parametrize("users", [False, True])
def test_devpts_is_the_containers_own(bundle: Bundle, users: bool) -> None:
    """config-linux.md#default-devices: /dev/ptmx leads to it."""
    assert bundle.run("readlink /dev/ptmx; ls /dev/pts", users=users).lines == ["pts/ptmx", "ptmx"]


def test_sysfs_can_be_had_writable_and_that_does_not_reach_others(bundle: Bundle) -> None:
    """A read-only mount leaves the file system writable: it is one for all who share the network namespace."""
    table = bundle.mounts()
    assert "rw" in table["/sys"].super_options
    assert "rw" in table["/proc"].super_options


def test_proc_may_be_bound_from_the_host(bundle: Bundle) -> None:
    """config.md#mounts: as `--pid host` of other callers does it."""
    changes = {"mounts": [bind("/proc", "/proc"), mount("/dev", "tmpfs", "tmpfs", "mode=755")], **without("pid")}
    assert bundle.mounts(changes)["/proc"].kind == "proc"


def test_proc_of_its_own_pid_namespace_is_never_the_hosts(bundle: Bundle) -> None:
    """Where the kernel refuses a new one, since parts of the host's are covered, that is an error which says why."""

    def check() -> None:
        mounts.mount("tmpfs", "/proc/sys", "tmpfs", MountFlags(0), None)
        with pytest.raises(StepFailed, match=r"mounts\[0\].*covers parts.*/proc"), bundle.created(users=True):
            pass
        assert bundle.run("test -d /proc/1").status == 0

    in_shared_mounts(check)
