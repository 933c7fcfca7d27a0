"""`linux.resources` of config.json, and what `update` is given. config-linux.md#control-groups

Absent is None: the specification tells an unset limit from one of 0. The words are those of cgroup v1; what they become
in the files of v2 is aethel_run.cgroup.limits' subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from aethel_run.spec.document import Document

UInt16 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
UInt32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
UInt64 = Annotated[int, msgspec.Meta(ge=0)]


class DeviceType(StrEnum):
    """What a device rule is about."""

    ALL = "a"
    CHARACTER = "c"
    BLOCK = "b"


class DeviceRule(Document, frozen=True, kw_only=True):
    """Allow or deny some use of some devices. config-linux.md#allowed-device-list"""

    allow: bool
    type: DeviceType = DeviceType.ALL
    major: int | None = None
    """None or -1: every one."""
    minor: int | None = None
    access: str = ""
    """Of `r` (read), `w` (write) and `m` (mknod)."""


def allowed(major: int | None, minor: int | None, access: str = "rwm", kind: str = DeviceType.CHARACTER) -> DeviceRule:
    """The rule that lets a device be used; `kind` is the letter of its type."""
    return DeviceRule(allow=True, type=DeviceType(kind), major=major, minor=minor, access=access)


class Memory(Document, frozen=True, kw_only=True):
    """In bytes; -1 is without a limit. config-linux.md#memory"""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    """Of memory and swap together."""
    kernel: int | None = None
    kernel_tcp: int | None = msgspec.field(default=None, name="kernelTCP")
    swappiness: UInt64 | None = None
    disable_oom_killer: bool | None = msgspec.field(default=None, name="disableOOMKiller")
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class Cpu(Document, frozen=True, kw_only=True):
    """Times in microseconds. config-linux.md#cpu"""

    shares: UInt64 | None = None
    """Relative weight: 2 to 262144, 1024 is the usual."""
    quota: int | None = None
    burst: UInt64 | None = None
    period: UInt64 | None = None
    realtime_runtime: int | None = None
    realtime_period: UInt64 | None = None
    cpus: str = ""
    """A list such as `0-3,7`."""
    mems: str = ""
    idle: int | None = None


class Pids(Document, frozen=True, kw_only=True):
    """config-linux.md#pids"""

    limit: int | None = None
    """Of tasks; -1 is without a limit."""


class WeightDevice(Document, frozen=True, kw_only=True):
    """A block device's weight: 10 to 1000."""

    major: int
    minor: int
    weight: UInt16 | None = None
    leaf_weight: UInt16 | None = None


class ThrottleDevice(Document, frozen=True, kw_only=True):
    """A block device's rate a second."""

    major: int
    minor: int
    rate: UInt64


class BlockIO(Document, frozen=True, kw_only=True):
    """config-linux.md#block-io"""

    weight: UInt16 | None = None
    leaf_weight: UInt16 | None = None
    weight_device: tuple[WeightDevice, ...] = ()
    throttle_read_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_read_iops_device: tuple[ThrottleDevice, ...] = msgspec.field(default=(), name="throttleReadIOPSDevice")
    throttle_write_iops_device: tuple[ThrottleDevice, ...] = msgspec.field(default=(), name="throttleWriteIOPSDevice")


class HugepageLimit(Document, frozen=True, kw_only=True):
    """config-linux.md#huge-page-limits"""

    page_size: str
    """Such as `2MB`."""
    limit: UInt64
    """In bytes."""


class InterfacePriority(Document, frozen=True, kw_only=True):
    """A priority of cgroup v1's net_prio."""

    name: str
    priority: UInt32


class Network(Document, frozen=True, kw_only=True):
    """net_cls and net_prio of cgroup v1. config-linux.md#network"""

    class_id: UInt32 | None = msgspec.field(default=None, name="classID")
    priorities: tuple[InterfacePriority, ...] = ()


class Rdma(Document, frozen=True, kw_only=True):
    """Of one RDMA device. config-linux.md#rdma"""

    hca_handles: UInt32 | None = None
    hca_objects: UInt32 | None = None


class Resources(Document, frozen=True, kw_only=True):
    """All that a container's cgroup is told."""

    devices: tuple[DeviceRule, ...] = ()
    memory: Memory = Memory()
    cpu: Cpu = Cpu()
    pids: Pids = Pids()
    block_io: BlockIO = msgspec.field(default=BlockIO(), name="blockIO")
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    network: Network = Network()
    rdma: Mapping[str, Rdma] = {}
    unified: Mapping[str, str] = {}
    """A file of cgroup v2 and what to write into it. config-linux.md#unified"""
