"""What a cgroup has used, as typed figures. Sizes are in bytes, times in microseconds; a limit that is None is "max"."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the time was lost: averages in percent over 10, 60 and 300 s."""

    avg10: float
    avg60: float
    avg300: float
    total: int


class Pressure(msgspec.Struct, frozen=True, kw_only=True):
    """Stalls of some of the tasks, and of all at once."""

    some: Stall
    full: Stall | None = None


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """cpu.stat; the last three only where the cpu controller is enabled."""

    usage: int
    user: int
    system: int
    periods: int | None = None
    throttled_periods: int | None = None
    throttled: int | None = None
    pressure: Pressure | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Of memory, or of swap."""

    current: int
    limit: int | None = None
    peak: int | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """memory.*"""

    usage: Usage
    swap: Usage | None = None
    events: Mapping[str, int] = {}
    """memory.events: low, high, max, oom, oom_kill, ... as often as that happened."""
    stat: Mapping[str, int] = {}
    """memory.stat"""
    pressure: Pressure | None = None

    @property
    def without_cache(self) -> int:
        """What cannot be had back at once: Docker's figure of what a container uses."""
        return max(self.usage.current - self.stat.get("inactive_file", 0), 0)


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A line of io.stat."""

    major: int
    minor: int
    values: Mapping[str, int]
    """rbytes, wbytes, rios, wios, dbytes, dios and what else this kernel counts."""


class IO(msgspec.Struct, frozen=True, kw_only=True):
    """io.stat"""

    devices: tuple[Device, ...] = ()
    pressure: Pressure | None = None


class Pids(msgspec.Struct, frozen=True, kw_only=True):
    """pids.*: tasks, so threads count."""

    current: int
    limit: int | None = None


class Hugetlb(msgspec.Struct, frozen=True, kw_only=True):
    """hugetlb.SIZE.*: in use, and reserved where the kernel accounts for that."""

    current: int
    limit: int | None = None
    reserved: int | None = None
    failures: int | None = None
    """How often the limit was met."""


class Rdma(msgspec.Struct, frozen=True, kw_only=True):
    """rdma.*: handles and objects of one device."""

    current: Mapping[str, int]
    limit: Mapping[str, int | None]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    io: IO | None = None
    pids: Pids | None = None
    hugetlb: Mapping[str, Hugetlb] = {}
    rdma: Mapping[str, Rdma] = {}
