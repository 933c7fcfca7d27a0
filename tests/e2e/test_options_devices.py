"""Devices that are given, and what may be done with them; in a user namespace of its own and without one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.daemon import Daemon

# /dev/kmsg, which every kernel has, no container has by default, and whoever may write to it may open.
KMSG = os.makedev(1, 11)


def opens(path: str) -> str:
    return f"( exec 3>{path} ) 2>/dev/null && echo yes || echo no"


@pytest.fixture
def node(daemon: Daemon) -> Iterator[Path]:
    """A device of the host that only its root may use, in a directory of its own."""
    directory = daemon.root / "dev"
    directory.mkdir()
    path = directory / "log"
    os.mknod(path, stat.S_IFCHR | 0o600, KMSG)
    yield path
    path.unlink()
    directory.rmdir()


@pytest.mark.parametrize("users", ["private", "host"])
def test_a_device_is_root_s_inside_and_may_be_used_as_was_said(daemon: Daemon, node: Path, users: str) -> None:
    script = f"stat -c %u:%g:%a:%t:%T /dev/log /dev/all/log; {opens('/dev/log')}; {opens('/dev/all/log')}"
    both = ("--userns", users, "--device", f"{node}:/dev/log:r", "--device")
    assert daemon.shell(script, *both, f"{node.parent}:/dev/all:w").out.split() == ["0:0:600:1:b"] * 2 + ["yes"] * 2
    assert daemon.shell(script, *both, f"{node.parent}:/dev/all:rm").out.split()[2:] == ["no", "no"]


def test_a_node_alone_opens_nothing_until_a_rule_allows_it(daemon: Daemon) -> None:
    script = f"mknod /n c 1 11 && {opens('/n')}"
    assert daemon.shell(script, "--userns", "host").out == "no\n"
    assert daemon.shell(script, "--userns", "host", "--device-cgroup-rule", "c 1:* w").out == "yes\n"


def test_inspect_tells_of_devices(daemon: Daemon, node: Path) -> None:
    name = daemon.aethel(
        "create", "--device", f"{node}:/dev/r:r", "--device-cgroup-rule", "b 8:* rw", "demo-alpine", "true"
    ).out.strip()
    config = daemon.inspect(name)["HostConfig"]
    daemon.aethel("rm", name)
    assert config["Devices"] == [{"PathOnHost": str(node), "PathInContainer": "/dev/r", "CgroupPermissions": "r"}]
    assert config["DeviceCgroupRules"] == ["b 8:* rw"]
