"""A cgroup's files read into one Stats. cgroup-v2.rst, accounting/psi.rst

What the kernel does not tell is absent (None), never 0: a controller that is not enabled, a file of a later kernel.
"""

from __future__ import annotations

import enum
import errno
import functools
import os
from collections.abc import Iterator, Mapping
from typing import Final

from aethel_common.errors import NotFound
from aethel_run.cgroup.directory import Directory
from aethel_run.cgroup.figures import IO, Cpu, Device, Hugetlb, Memory, Pids, Pressure, Rdma, Stall, Stats, Usage


class Part(enum.Flag):
    """What to read: each costs a few files."""

    CPU = enum.auto()
    MEMORY = enum.auto()
    IO = enum.auto()
    PIDS = enum.auto()
    HUGETLB = enum.auto()
    RDMA = enum.auto()
    PRESSURE = enum.auto()
    """The stall times of cpu, memory and io, together with those."""


EVERYTHING: Final = ~Part(0)


def read(cgroup: Directory, parts: Part = EVERYTHING) -> Stats:
    """Read what is asked for. Raises NotFound when the cgroup is gone."""
    try:
        fd = cgroup.open()
    except FileNotFoundError:
        raise NotFound(f"no cgroup {cgroup.path}") from None
    try:
        files = _Files(fd, pressure=Part.PRESSURE in parts)
        return Stats(
            cpu=_cpu(files) if Part.CPU in parts else None,
            memory=_memory(files) if Part.MEMORY in parts else None,
            io=_io(files) if Part.IO in parts else None,
            pids=_pids(files) if Part.PIDS in parts else None,
            hugetlb=dict(_hugetlb(files)) if Part.HUGETLB in parts else {},
            rdma=_rdma(files) if Part.RDMA in parts else {},
        )
    finally:
        os.close(fd)


class _Files:
    """The files of one cgroup by its directory's descriptor."""

    def __init__(self, directory_fd: int, *, pressure: bool) -> None:
        self._directory_fd = directory_fd
        self._pressure = pressure

    def text(self, name: str) -> str | None:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory_fd)
        except FileNotFoundError:
            return None
        try:
            return _read_all(fd).decode("ascii", "replace")
        except OSError as error:
            # EOPNOTSUPP: pressure is accounted for only with psi=1 on the kernel's command line.
            if error.errno in (errno.ENODEV, errno.EOPNOTSUPP):
                return None
            raise
        finally:
            os.close(fd)

    def number(self, name: str) -> int | None:
        """None too for "max"."""
        text = self.text(name)
        return None if text is None or text == "max\n" else int(text)

    def table(self, name: str) -> dict[str, int] | None:
        """A file of lines `KEY NUMBER`."""
        text = self.text(name)
        return None if text is None else {key: int(value) for key, value in map(str.split, text.splitlines())}

    def nested(self, name: str) -> dict[str, dict[str, str]] | None:
        """A file of lines `KEY NAME=VALUE NAME=VALUE`."""
        text = self.text(name)
        if text is None:
            return None
        lines = (line.split() for line in text.splitlines())
        return {first: dict(pair.split("=", 1) for pair in pairs if "=" in pair) for first, *pairs in lines}

    def pressure(self, resource: str) -> Pressure | None:
        lines = self.nested(f"{resource}.pressure") if self._pressure else None
        if not lines:
            return None
        return Pressure(some=_stall(lines["some"]), full=_stall(lines["full"]) if "full" in lines else None)


def _read_all(fd: int) -> bytes:
    text = os.read(fd, 16384)
    while more := os.read(fd, 16384):
        text += more
    return text


def _stall(values: Mapping[str, str]) -> Stall:
    return Stall(
        avg10=float(values["avg10"]),
        avg60=float(values["avg60"]),
        avg300=float(values["avg300"]),
        total=int(values["total"]),
    )


def _cpu(files: _Files) -> Cpu | None:
    table = files.table("cpu.stat")
    if table is None:
        return None
    return Cpu(
        usage=table["usage_usec"],
        user=table["user_usec"],
        system=table["system_usec"],
        periods=table.get("nr_periods"),
        throttled_periods=table.get("nr_throttled"),
        throttled=table.get("throttled_usec"),
        pressure=files.pressure("cpu"),
    )


def _memory(files: _Files) -> Memory | None:
    usage = _usage(files, "memory")
    if usage is None:
        return None
    return Memory(
        usage=usage,
        swap=_usage(files, "memory.swap"),
        events=files.table("memory.events") or {},
        stat=files.table("memory.stat") or {},
        pressure=files.pressure("memory"),
    )


def _usage(files: _Files, prefix: str) -> Usage | None:
    current = files.number(f"{prefix}.current")
    if current is None:
        return None
    return Usage(current=current, limit=files.number(f"{prefix}.max"), peak=files.number(f"{prefix}.peak"))


def _io(files: _Files) -> IO | None:
    lines = files.nested("io.stat")
    if lines is None:
        return None
    devices = []
    for number, values in lines.items():
        major, _, minor = number.partition(":")
        counted = {name: int(value) for name, value in values.items() if value.isdigit()}
        devices.append(Device(major=int(major), minor=int(minor), values=counted))
    return IO(devices=tuple(devices), pressure=files.pressure("io"))


def _pids(files: _Files) -> Pids | None:
    current = files.number("pids.current")
    return None if current is None else Pids(current=current, limit=files.number("pids.max"))


def _hugetlb(files: _Files) -> Iterator[tuple[str, Hugetlb]]:
    for size in _page_sizes():
        current = files.number(f"hugetlb.{size}.current")
        if current is None:
            continue
        yield (
            size,
            Hugetlb(
                current=current,
                limit=_bounded(files.number(f"hugetlb.{size}.max")),
                reserved=files.number(f"hugetlb.{size}.rsvd.current"),
                failures=(files.table(f"hugetlb.{size}.events") or {}).get("max"),
            ),
        )


def _bounded(limit: int | None) -> int | None:
    """Before a limit is first set the file shows the greatest number of bytes in whole pages, not "max"."""
    return None if limit is None or limit >= 1 << 62 else limit


@functools.cache
def _page_sizes() -> tuple[str, ...]:
    """As the files are named; the directories are `hugepages-2048kB`."""
    try:
        names = os.listdir("/sys/kernel/mm/hugepages")
    except FileNotFoundError:
        return ()
    kilobytes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return tuple(page_size(number) for number in kilobytes)


def page_size(kilobytes: int) -> str:
    """64 -> 64KB, 2048 -> 2MB, 1048576 -> 1GB. mm/hugetlb_cgroup.c"""
    if kilobytes >= 1 << 20:
        return f"{kilobytes >> 20}GB"
    if kilobytes >= 1 << 10:
        return f"{kilobytes >> 10}MB"
    return f"{kilobytes}KB"


def _rdma(files: _Files) -> dict[str, Rdma]:
    current, limit = files.nested("rdma.current") or {}, files.nested("rdma.max") or {}
    return {
        device: Rdma(
            current={name: int(value) for name, value in values.items()},
            limit={name: None if value == "max" else int(value) for name, value in limit.get(device, {}).items()},
        )
        for device, values in current.items()
    }
