"""Shares of the cache and of memory bandwidth, given through the resctrl file system. config-linux.md#intelrdt

A class of service is a directory of it: what the class has is in `schemata`, who is in it in `tasks`.
Kernel: Documentation/filesystems/resctrl.rst
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import AethelError, InvalidSpec, NotFound, Unsupported, from_os
from aethel_common.undo import Undo
from aethel_run.spec.linux import IntelRdt

_DEFAULT_CLASS: Final = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Where a container was put: what `remove` has to know, and so its state has to keep."""

    made: str = ""
    """Path of the class of service, if it was made for this container alone."""
    monitor: str = ""
    """Path of its monitoring group, if it has one."""


def find_resctrl(mountinfo: str = "/proc/self/mountinfo") -> str:
    """Where resctrl is mounted. Raises Unsupported. man 5 proc_pid_mountinfo"""
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.split()[0] == "resctrl":
                return left.split()[4].encode().decode("unicode_escape")
    raise Unsupported(
        "linux.intelRdt: no resctrl file system is mounted",
        hint="`mount -t resctrl resctrl /sys/fs/resctrl`, where kernel and processor have it",
    )


def assign(resctrl: str, rdt: IntelRdt, container_id: str, pid: int) -> Assignment:
    """Put the process into its class of service, made and filled as the document says; all of it or nothing.

    Raises NotFound (a class that should be there), InvalidSpec (one that is there and differs), AethelError.
    """
    lines = schemata(rdt)
    directory = resctrl if rdt.clos_id == _DEFAULT_CLASS else os.path.join(resctrl, rdt.clos_id or container_id)
    if rdt.clos_id and not lines and not os.path.isdir(directory):
        raise NotFound(f"linux.intelRdt.closID: {directory} is not there, and no schemata are given to make it with")
    with Undo() as undo:
        made = _make(directory, undo)
        if not made:
            _compare(directory, rdt)
        if lines:
            _write(resctrl, os.path.join(directory, "schemata"), "".join(f"{line}\n" for line in lines))
        _write(resctrl, os.path.join(directory, "tasks"), f"{pid}\n")
        monitor = _monitor(resctrl, directory, container_id, pid, undo) if rdt.enable_monitoring else ""
        undo.keep()
    return Assignment(made=directory if made and not rdt.clos_id else "", monitor=monitor)


def remove(assignment: Assignment) -> None:
    """Take away what was made for the container, once it is gone. Safe to repeat."""
    for directory in (assignment.monitor, assignment.made):
        if directory:
            _remove(directory)


def schemata(rdt: IntelRdt) -> tuple[str, ...]:
    """The lines to write, in the order that the specification gives them."""
    return tuple(line for line in (rdt.l3_cache_schema, rdt.mem_bw_schema, *rdt.schemata) if line)


def parse(lines: Iterable[str]) -> Mapping[tuple[str, int], int]:
    """Share by resource and domain, of lines such as `L3:0=7f0;1=1f` (bit masks) and `MB:0=20` (numbers)."""
    shares: dict[tuple[str, int], int] = {}
    for line in lines:
        resource, _, rest = (part.strip() for part in line.partition(":"))
        base = 10 if resource == "MB" else 16
        for entry in filter(None, rest.split(";")):
            domain, _, share = entry.partition("=")
            shares[resource, int(domain)] = int(share, base)
    return shares


def _make(directory: str, undo: Undo) -> bool:
    """Whether it was not there."""
    try:
        os.mkdir(directory, 0o755)
    except FileExistsError:
        return False
    except OSError as error:
        raise from_os(error, "linux.intelRdt") from error
    undo.later(lambda: _remove(directory))
    return True


def _monitor(resctrl: str, directory: str, container_id: str, pid: int, undo: Undo) -> str:
    monitor = os.path.join(directory, "mon_groups", container_id)
    if not _make(monitor, undo):
        raise AethelError(f"linux.intelRdt.enableMonitoring: {monitor} is there already")
    _write(resctrl, os.path.join(monitor, "tasks"), f"{pid}\n")
    return monitor


def _compare(directory: str, rdt: IntelRdt) -> None:
    """A class that is there already must be the one that is meant."""
    named = [line for line in (rdt.l3_cache_schema, rdt.mem_bw_schema) if line]
    kinds = tuple(line.partition(":")[0] + ":" for line in named)
    if not named:
        return
    try:
        with open(os.path.join(directory, "schemata"), encoding="ascii") as file:
            there = parse(line for line in file if line.lstrip().startswith(kinds))
        wanted = parse(named)
    except ValueError as error:
        raise InvalidSpec(f"linux.intelRdt: {'; '.join(named)} cannot be compared: {error}") from error
    differing = sorted(key for key, share in wanted.items() if there.get(key) != share)
    if differing:
        resource, domain = differing[0]
        raise InvalidSpec(f"linux.intelRdt: {directory} is there with another share of {resource}:{domain}")


def _write(resctrl: str, path: str, text: str) -> None:
    try:
        with open(path, "wb", buffering=0) as file:
            file.write(text.encode())
    except OSError as error:
        raise _explained(resctrl, error, path) from error


def _explained(resctrl: str, error: OSError, path: str) -> AethelError:
    """The kernel says in a file of its own what it did not like."""
    failure = from_os(error, f"linux.intelRdt: write {path}")
    try:
        with open(os.path.join(resctrl, "info/last_cmd_status"), encoding="ascii") as file:
            failure.hint = file.read().strip()
    except OSError:
        pass  # no more is known
    return failure


def _remove(directory: str) -> None:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        pass
