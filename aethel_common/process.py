"""A process by more than its number, which the kernel uses again: number and start time."""

from __future__ import annotations

import os
import select


def start_time(pid: int) -> int:
    """When it started, in clock ticks since boot (field 22 of /proc/PID/stat). Raises ProcessLookupError. proc(5)"""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    # The command's name stands in brackets and may hold anything, also spaces and brackets.
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def is_alive(pid: int, started: int) -> bool:
    """Whether that very process still runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(fields[19]) == started and fields[0] not in (b"Z", b"X")


def open_pidfd(pid: int, started: int) -> int:
    """A pidfd of that very process. Raises ProcessLookupError when it is gone. man 2 pidfd_open"""
    fd = os.pidfd_open(pid)
    try:
        if start_time(pid) != started:
            raise ProcessLookupError(pid)
    except BaseException:
        os.close(fd)
        raise
    return fd


def await_end(pid: int, started: int, seconds: float) -> bool:
    """Wait until that very process is gone; False when it is still there after `seconds`. man 2 pidfd_open"""
    try:
        pidfd = open_pidfd(pid, started)
    except ProcessLookupError:
        return True
    with open(pidfd, "rb", buffering=0):
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
