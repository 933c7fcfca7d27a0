"""`linux.resources.blockIO` to io.weight and io.max. cgroup-v2.rst#io-interface-files"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_run.cgroup.files import Write
from aethel_run.spec.resources import BlockIO, ThrottleDevice

_ROOT: Final = "linux.resources.blockIO"


def writes(block_io: BlockIO) -> Iterator[Write]:
    """In order. Raises InvalidSpec, Unsupported for leaf weights, which cgroup v2 has not."""
    if block_io.leaf_weight:
        raise Unsupported(f"{_ROOT}.leafWeight: cgroup v2 has no such thing")
    if block_io.weight:
        yield _weight("", block_io.weight)
    for index, device in enumerate(block_io.weight_device):
        if device.leaf_weight:
            raise Unsupported(f"{_ROOT}.weightDevice[{index}].leafWeight: cgroup v2 has no such thing")
        if not device.weight:
            raise InvalidSpec(f"{_ROOT}.weightDevice[{index}].weight: not set")
        yield _weight(f"{device.major}:{device.minor} ", device.weight)
    for number, rates in _rates(block_io).items():
        yield Write("io.max", " ".join([number, *rates]))


def io_weight(weight: int) -> int:
    """io.weight (1 to 10000) for a blkio weight (10 to 1000)."""
    return 1 + (weight - 10) * 9999 // 990


def _weight(device: str, weight: int) -> Write:
    """The BFQ scheduler's own file has v1's scale; where it is not built in, the cost model's."""
    if not 10 <= weight <= 1000:
        raise InvalidSpec(f"{_ROOT}: weight {weight} is not in 10 to 1000")
    instead = Write("io.weight", f"{device}{io_weight(weight)}")
    return Write("io.bfq.weight", f"{device}{weight}", instead=instead)


def _rates(block_io: BlockIO) -> dict[str, list[str]]:
    """One line for a device: the kernel keeps what a line does not name."""
    kinds: dict[str, tuple[ThrottleDevice, ...]] = {
        "rbps": block_io.throttle_read_bps_device,
        "wbps": block_io.throttle_write_bps_device,
        "riops": block_io.throttle_read_iops_device,
        "wiops": block_io.throttle_write_iops_device,
    }
    lines: dict[str, list[str]] = {}
    for kind, devices in kinds.items():
        for device in devices:
            # 0 took a limit away in v1; here the kernel refuses it.
            rate = f"{kind}={device.rate or 'max'}"
            lines.setdefault(f"{device.major}:{device.minor}", []).append(rate)
    return lines
