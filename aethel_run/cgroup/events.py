"""Stats and out-of-memory as the lines of `events`, in runc's JSON, which its callers parse. runc types/events.go

Its fields are cgroup v1's: nanoseconds, swap together with memory, "max" as 2^64 - 1; what v2 has no figure for is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from aethel_run.cgroup.figures import IO, Cpu, Device, Hugetlb, Memory, Pids, Pressure, Stats, Usage

_MAX: Final = (1 << 64) - 1


class _Json(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields with a default are left out when they are at it, as by runc's `omitempty`; the others are always there."""


class StallJson(_Json, frozen=True, kw_only=True):
    """PSIData"""

    avg10: float
    avg60: float
    avg300: float
    total: int


class PressureJson(_Json, frozen=True, kw_only=True):
    """PSIStats"""

    some: StallJson
    full: StallJson


class CpuUsageJson(_Json, frozen=True, kw_only=True):
    """Nanoseconds."""

    total: int = 0
    kernel: int
    user: int


class ThrottlingJson(_Json, frozen=True, kw_only=True, rename="camel"):
    """Nanoseconds too."""

    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class CpuJson(_Json, frozen=True, kw_only=True):
    """Cpu"""

    usage: CpuUsageJson = CpuUsageJson(kernel=0, user=0)
    throttling: ThrottlingJson = ThrottlingJson()
    psi: PressureJson | None = None


class EntryJson(_Json, frozen=True, kw_only=True):
    """MemoryEntry"""

    limit: int
    usage: int = 0
    max: int = 0
    failcnt: int


class MemoryJson(_Json, frozen=True, kw_only=True):
    """Memory"""

    cache: int = 0
    usage: EntryJson
    swap: EntryJson
    kernel: EntryJson
    kernel_tcp: EntryJson = msgspec.field(name="kernelTCP")
    raw: Mapping[str, int] = {}
    psi: PressureJson | None = None


class PidsJson(_Json, frozen=True, kw_only=True):
    """Without a limit, 0 and so absent."""

    current: int = 0
    limit: int = 0


class BlkioEntryJson(_Json, frozen=True, kw_only=True):
    """BlkioEntry"""

    major: int = 0
    minor: int = 0
    op: str = ""
    value: int = 0


class BlkioJson(_Json, frozen=True, kw_only=True, rename="camel"):
    """Bytes, and operations."""

    io_service_bytes_recursive: tuple[BlkioEntryJson, ...] = ()
    io_serviced_recursive: tuple[BlkioEntryJson, ...] = ()
    psi: PressureJson | None = None


class HugetlbJson(_Json, frozen=True, kw_only=True):
    """Hugetlb"""

    usage: int = 0
    max: int = 0
    failcnt: int


class IntelRdtJson(_Json, frozen=True, kw_only=True):
    """Nothing: those figures are in resctrl, not in the cgroup."""


class InterfaceJson(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """NetworkInterface: of the host's end, as its container sees it."""

    name: str
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class StatsJson(msgspec.Struct, frozen=True, kw_only=True):
    """Stats"""

    cpu: CpuJson
    memory: MemoryJson
    pids: PidsJson
    blkio: BlkioJson
    hugetlb: Mapping[str, HugetlbJson]
    intel_rdt: IntelRdtJson = IntelRdtJson()
    network_interfaces: tuple[InterfaceJson, ...] | None = None


class EventJson(_Json, frozen=True, kw_only=True):
    """Event"""

    type: str
    id: str
    data: StatsJson | None = None


_NOTHING: Final = EntryJson(limit=0, failcnt=0)
_encode = msgspec.json.Encoder().encode


def stats_line(container_id: str, stats: Stats, interfaces: Iterable[InterfaceJson] = ()) -> bytes:
    """The line of `events --stats`, with its line feed."""
    data = StatsJson(
        cpu=_cpu(stats.cpu),
        memory=_memory(stats.memory),
        pids=_pids(stats.pids),
        blkio=_blkio(stats.io),
        hugetlb={size: _hugetlb(each) for size, each in stats.hugetlb.items()},
        network_interfaces=tuple(interfaces) or None,
    )
    return _encode(EventJson(type="stats", id=container_id, data=data)) + b"\n"


def oom_line(container_id: str) -> bytes:
    """The line that tells of a process ended for want of memory."""
    return _encode(EventJson(type="oom", id=container_id)) + b"\n"


def _pressure(pressure: Pressure | None) -> PressureJson | None:
    if pressure is None:
        return None
    full = pressure.full or pressure.some  # Linux before 5.13 tells no `full` of the CPU
    return PressureJson(
        some=msgspec.convert(pressure.some, StallJson, from_attributes=True),
        full=msgspec.convert(full, StallJson, from_attributes=True),
    )


def _cpu(cpu: Cpu | None) -> CpuJson:
    if cpu is None:
        return CpuJson()
    return CpuJson(
        usage=CpuUsageJson(total=cpu.usage * 1000, kernel=cpu.system * 1000, user=cpu.user * 1000),
        throttling=ThrottlingJson(
            periods=cpu.periods or 0,
            throttled_periods=cpu.throttled_periods or 0,
            throttled_time=(cpu.throttled or 0) * 1000,
        ),
        psi=_pressure(cpu.pressure),
    )


def _memory(memory: Memory | None) -> MemoryJson:
    if memory is None:
        return MemoryJson(usage=_NOTHING, swap=_NOTHING, kernel=_NOTHING, kernel_tcp=_NOTHING)
    return MemoryJson(
        cache=memory.stat.get("file", 0),
        usage=_entry(memory.usage),
        swap=_with_memory(memory.swap, memory.usage) if memory.swap else _NOTHING,
        kernel=_NOTHING,
        kernel_tcp=_NOTHING,
        raw=memory.stat,
        psi=_pressure(memory.pressure),
    )


def _entry(usage: Usage) -> EntryJson:
    limit = _MAX if usage.limit is None else usage.limit
    return EntryJson(limit=limit, usage=usage.current, max=usage.peak or 0, failcnt=0)


def _with_memory(swap: Usage, memory: Usage) -> EntryJson:
    """v1's memsw. No peak: those of the two need not have been at one time."""
    unlimited = swap.limit is None or memory.limit is None
    limit = _MAX if unlimited else (swap.limit or 0) + (memory.limit or 0)
    return EntryJson(limit=limit, usage=swap.current + memory.current, failcnt=0)


def _pids(pids: Pids | None) -> PidsJson:
    return PidsJson() if pids is None else PidsJson(current=pids.current, limit=pids.limit or 0)


def _blkio(io: IO | None) -> BlkioJson:
    if io is None:
        return BlkioJson()
    return BlkioJson(
        io_service_bytes_recursive=tuple(_operations(io.devices, "rbytes", "wbytes")),
        io_serviced_recursive=tuple(_operations(io.devices, "rios", "wios")),
        psi=_pressure(io.pressure),
    )


def _operations(devices: Iterable[Device], read: str, write: str) -> Iterable[BlkioEntryJson]:
    for device in devices:
        for op, name in (("Read", read), ("Write", write)):
            if name in device.values:
                yield BlkioEntryJson(major=device.major, minor=device.minor, op=op, value=device.values[name])


def _hugetlb(hugetlb: Hugetlb) -> HugetlbJson:
    usage = hugetlb.current if hugetlb.reserved is None else hugetlb.reserved
    return HugetlbJson(usage=usage, failcnt=hugetlb.failures or 0)
