"""A full disk: one clear line and nothing left, wherever it strikes; and what ends is still recorded and removed.

The daemon under test has its state, or what it keeps at run time, on a small tmpfs in a mount namespace of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import host
from tests.harness.daemon import Completed, Daemon

NO_SPACE = "no space left on device"
PAGE = 4096


@contextmanager
def daemon_with(name: str, size: str) -> Iterator[Daemon]:
    running = Daemon(small={name: f"-t tmpfs -o size={size} tmpfs"})
    try:
        yield running
    finally:
        running.close()


@contextmanager
def filled(directory: Path, *, free: int) -> Iterator[None]:
    """Leave so many bytes free, while the block lasts."""
    path = directory / "filler"
    with open(path, "wb", buffering=0) as file:
        status = os.statvfs(directory)
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - free)
        yield
    path.unlink()


def users(daemon: Daemon) -> tuple[str, ...]:
    """Options for a kernel that cannot idmap a tmpfs, which Linux 6.3 was the first to do: the disk is the same."""
    done = daemon.shell("true")
    return ("--userns", "host") if "cannot be idmapped" in done.err else ()


def is_refused(done: Completed) -> bool:
    """Whether it was told in one line, as it should be; False when there was room enough."""
    if done.code == 0:
        return False
    assert (done.code, len(done.error_lines)) == (125, 1), done.err
    assert NO_SPACE in done.err.lower(), done.err
    assert "free some space" in done.err
    return True


@pytest.mark.parametrize(("name", "size"), [("state", "48m"), ("run", "1m")])
def test_wherever_it_strikes_a_run_is_refused_in_one_line_and_leaves_nothing(name: str, size: str) -> None:
    with daemon_with(name, size) as daemon:
        directory = daemon.seen(daemon.root / name)
        options = users(daemon)
        assert daemon.shell("true", *options).code == 0
        assert host.wait_until(lambda: host.ports_of(daemon.bridge) == [])
        before = daemon.traces()
        refused = []
        for pages in (0, 1, 2, 3, 5):
            with filled(directory, free=pages * PAGE):
                verb = ("run", "-d", "--rm") if pages % 2 else ("run", "--rm")
                refused.append(is_refused(daemon.aethel(*verb, *options, "demo-alpine", "true")))
                assert host.wait_until(lambda: daemon.traces() == before), (pages, daemon.traces())
        assert refused[:2] == [True, True]
        assert refused[-1] is False
        assert "Traceback" not in daemon.log.read_text()


@pytest.mark.parametrize("megabytes", [0, 2, 6, 10])
def test_an_image_that_finds_no_room_is_not_half_there(megabytes: int) -> None:
    with daemon_with("state", "48m") as daemon:
        directory = daemon.seen(daemon.state)
        before = daemon.traces()
        with filled(directory, free=megabytes * 1024**2):
            assert is_refused(daemon.aethel("run", "--rm", "-q", "demo-alpine", "true"))
            after = daemon.traces()
            assert [name for name in after["directories"]["layers"] if name != ".lock"] == []
            assert not any(name.startswith(".") for name in after["directories"]["blobs"])
            after["directories"] = before["directories"]  # whole blobs may stay: they are not fetched again
            assert after == before
        assert daemon.shell("true", *users(daemon)).code == 0


def test_a_container_that_fills_the_disk_still_ends_and_can_be_removed() -> None:
    with daemon_with("state", "48m") as daemon:
        directory = daemon.seen(daemon.state)
        options = users(daemon)
        assert daemon.shell("true", *options).code == 0
        before = daemon.traces()
        script = "cat /dev/zero > /big; echo code $?; yes | head -n 100000; exit 7"
        done = daemon.aethel("run", "--name", "greedy", *options, "demo-alpine", "sh", "-c", script)
        assert (done.code, done.out.splitlines()[0]) == (7, "code 1"), done.err
        assert done.out.count("y\n") == 100000
        assert os.statvfs(directory).f_bavail == 0
        assert "Exited (7)" in daemon.aethel("ps", "-a").out
        assert daemon.aethel("wait", "greedy").out == "7\n"
        assert daemon.aethel("logs", "greedy").code == 0
        assert daemon.aethel("start", "-a", "greedy").code == 7
        assert daemon.aethel("rm", "greedy").out == "greedy\n"
        assert host.wait_until(lambda: daemon.traces() == before), daemon.traces()
        assert os.statvfs(directory).f_bavail > 0


def test_how_a_container_ended_is_known_though_the_run_directory_is_full() -> None:
    with daemon_with("run", "1m") as daemon:
        name = daemon.detached("trap 'exit 9' TERM; while :; do sleep 0.05; done", *users(daemon))
        with filled(daemon.seen(daemon.run), free=0):
            daemon.aethel("stop", name)
            assert daemon.aethel("wait", name).out == "9\n"
            assert daemon.inspect(name)["State"]["Error"] == ""
            assert daemon.aethel("rm", name).code == 0


@pytest.mark.parametrize("free", [0, PAGE, 16 * PAGE])
def test_a_daemon_on_a_full_disk_says_so_in_one_line_or_serves(free: int) -> None:
    with daemon_with("state", "16m") as daemon, filled(daemon.seen(daemon.state), free=free):
        assert daemon.aethel("ps").code == 0
        assert daemon.aethel("images").code == 0
        done = daemon.aethel("run", "no-such-image")
        assert "no such image" in done.err


def test_an_error_of_a_full_disk_is_known_by_its_number() -> None:
    """What the tests above look for is the kernel's own text."""
    assert os.strerror(errno.ENOSPC).lower() == NO_SPACE
