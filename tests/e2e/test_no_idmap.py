"""A file system that cannot be idmapped (ramfs is one): an error that names it and the way out, and nothing left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import host
from tests.harness.daemon import Daemon

RAMFS = "-t ramfs -o mode=755 ramfs"


@pytest.fixture(scope="module")
def daemon_on_ramfs() -> Iterator[Daemon]:
    running = Daemon(small={"state": RAMFS, "run": RAMFS})
    assert running.aethel("image", "build", "-q", "demo-alpine").code == 0
    yield running
    running.close()


@pytest.mark.parametrize("verb", [("run",), ("run", "-d"), ("run", "--rm")])
def test_it_is_named_with_the_way_out(daemon_on_ramfs: Daemon, verb: tuple[str, ...]) -> None:
    daemon = daemon_on_ramfs
    before = daemon.traces()
    done = daemon.aethel(*verb, "demo-alpine", "true")
    assert (done.code, len(done.error_lines)) == (125, 1), done.err
    assert "ramfs, which cannot be idmapped" in done.err
    assert "--userns host" in done.err
    assert host.wait_until(lambda: daemon.traces() == before), daemon.traces()


def test_the_way_out_is_one(daemon_on_ramfs: Daemon) -> None:
    daemon = daemon_on_ramfs
    before = daemon.traces()
    done = daemon.shell("cat /proc/self/uid_map; cat /etc/alpine-release", "--userns", "host")
    assert (done.code, done.out.split()) == (0, ["0", "0", "4294967295", "3.23.6"]), done.err
    assert host.wait_until(lambda: daemon.traces() == before), daemon.traces()
