"""Clocks of its own. Each test names its section of the spec."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aethel_common.linux import namespaces
from aethel_common.linux.namespaces import CloneFlags
from aethel_run.process import timens
from aethel_run.spec.linux import TimeOffset
from tests.harness.scripts import in_child

# config-linux.md#time-namespace


def test_offsets_are_those_of_the_children() -> None:
    """config-linux.md#time-namespace"""
    offsets = {"monotonic": TimeOffset(secs=86400, nanosecs=7), "boottime": TimeOffset(secs=604800)}

    def child() -> object:
        namespaces.unshare(CloneFlags.NEWTIME)
        timens.write_offsets("self", offsets)
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        # Who executes a program enters the namespace.
        inside = subprocess.run(["cat", "/proc/uptime"], check=True, capture_output=True, text=True).stdout
        return 604800 <= float(inside.split()[0]) - uptime < 604860, Path("/proc/self/timens_offsets").read_text()

    moved, text = eval(in_child(child))
    assert moved
    assert [line.split() for line in text.splitlines()] == [["monotonic", "86400", "7"], ["boottime", "604800", "0"]]


@pytest.mark.parametrize(
    ("secs", "words"),
    [(2**40, "InvalidSpec: linux.timeOffsets: a clock"), (-(2**33), "InvalidSpec: linux.timeOffsets: a clock")],
)
def test_an_offset_out_of_range_is_named(secs: int, words: str) -> None:
    """config-linux.md#time-namespace"""

    def child() -> object:
        namespaces.unshare(CloneFlags.NEWTIME)
        return timens.write_offsets("self", {"boottime": TimeOffset(secs=secs)})

    assert in_child(child).startswith(words)


def test_offsets_come_before_the_first_process() -> None:
    """config-linux.md#time-namespace"""

    def child() -> object:
        namespaces.unshare(CloneFlags.NEWTIME)
        subprocess.run(["true"], check=True)
        return timens.write_offsets("self", {"boottime": TimeOffset(secs=1)})

    assert in_child(child) == "WrongState: linux.timeOffsets: a process is in the new time namespace already"
