"""`linux.resources.cpu` to cpu.weight, cpu.max and cpuset. cgroup-v2.rst#cpu-interface-files"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_run.cgroup.files import Write
from aethel_run.cgroup.present import Present
from aethel_run.spec.resources import Cpu

_ROOT: Final = "linux.resources"


def weight_of_shares(shares: int) -> int:
    """cpu.weight (1 to 10000) for cpu.shares (2 to 262144), such that the default 1024 is the default 100.

    runc 1.3.2, crun 1.23: a parabola in the exponent through (2, 1), (1024, 100) and (262144, 10000).
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    log = math.log2(shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def writes(cpu: Cpu, now: Present) -> Iterator[Write]:
    """In order. Raises InvalidSpec."""
    if cpu.idle not in (None, 0, 1):
        raise InvalidSpec(f"{_ROOT}.cpu.idle: {cpu.idle} is neither 0 nor 1")
    if cpu.idle is not None:
        yield Write("cpu.idle", str(cpu.idle), optional=cpu.idle == 0)
    # An idle cgroup has the least weight there is, and the kernel lets none be set.
    if cpu.shares and cpu.idle != 1:
        yield Write("cpu.weight", str(weight_of_shares(cpu.shares)))
    yield from _bandwidth(cpu, now)
    yield from _cpuset(cpu)


def _bandwidth(cpu: Cpu, now: Present) -> Iterator[Write]:
    """An absent half of cpu.max stays as it is. The burst may at no time exceed the quota in force."""
    quota = now.quota if not cpu.quota else (cpu.quota if cpu.quota > 0 else None)
    if cpu.burst and quota is not None and cpu.burst > quota:
        raise InvalidSpec(f"{_ROOT}.cpu.burst: {cpu.burst} is more than the quota {quota}")
    bandwidth = []
    if cpu.quota or cpu.period:
        bandwidth = [Write("cpu.max", f"{'max' if quota is None else quota} {cpu.period or now.period}")]
    burst = [] if cpu.burst is None else [Write("cpu.max.burst", str(cpu.burst), optional=cpu.burst == 0)]
    if cpu.burst is not None and now.quota is not None and cpu.burst > now.quota:
        yield from (*bandwidth, *burst)
    else:
        yield from (*burst, *bandwidth)


def _cpuset(cpu: Cpu) -> Iterator[Write]:
    if cpu.cpus:
        yield Write("cpuset.cpus", cpu.cpus)
    if cpu.mems:
        yield Write("cpuset.mems", cpu.mems)
