"""Cgroups and processes of a test's own, and what the tree here can limit."""

from __future__ import annotations

import functools
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aethel_common.errors import Unsupported
from aethel_run.cgroup.tree import Cgroup, mount_point
from tests.harness.host import wait_until

_ENTER = """
import os, sys
with open(sys.argv[1], "w") as procs:
    procs.write("0")
os.execvp(sys.argv[2], sys.argv[2:])
"""
_LIMITED = ("cpu", "io", "memory", "pids")


@functools.cache
def lacking() -> str:
    """The controllers that the tests marked `cgroup` need and that are not in cgroup2 here."""
    try:
        available = (mount_point() / "cgroup.controllers").read_text().split()
    except Unsupported:
        return "everything: it is not mounted"
    return " ".join(controller for controller in _LIMITED if controller not in available)


@contextmanager
def own_cgroup() -> Iterator[Cgroup]:
    """A cgroup, not made yet; whatever is there at the end is killed and removed."""
    cgroup = Cgroup(mount_point() / f"aethel-test-{secrets.token_hex(4)}")
    try:
        yield cgroup
    finally:
        cgroup.kill()
        cgroup.remove()


@contextmanager
def running_in(cgroup: Cgroup, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A program that is in the cgroup from its first instruction on; killed at the end of the block."""
    with _start(cgroup, *command) as process:
        try:
            assert wait_until(lambda: process.pid in cgroup.pids())
            yield process
        finally:
            process.kill()


def run_in(cgroup: Cgroup, *command: str) -> tuple[int, str]:
    """Its status as Popen tells it, and what it wrote."""
    with _start(cgroup, *command) as process:
        try:
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, output


def _start(cgroup: Cgroup, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _ENTER, str(cgroup.path / "cgroup.procs"), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def python_in(cgroup: Cgroup, script: str) -> tuple[int, str]:
    """The same for a few lines of Python."""
    return run_in(cgroup, sys.executable, "-I", "-S", "-c", script)


def domain_controller() -> str:
    """One that the tree here has and that minds processes beside children."""
    available = (mount_point() / "cgroup.controllers").read_text().split()
    return next(name for name in ("hugetlb", "memory", "io") if name in available)
