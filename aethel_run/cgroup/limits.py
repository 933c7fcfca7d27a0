"""`linux.resources` to the files of a cgroup, in order (pure), and the writing of them. config-linux.md, cgroup-v2.rst

The specification speaks of cgroup v1. Most of it has a counterpart in v2. For what has none:

- `memory.kernel` and `memory.kernelTCP` are passed over, as the specification allows and runc does: v2 counts the
  kernel's memory within `memory.limit`. `ignored` names them, for a warning.
- What asks for nothing but v2's own ways is taken: `disableOOMKiller: false`, `useHierarchy: true`.
- Everything else (swappiness, realtime, leaf weights, net_cls and net_prio, ...) is refused: "If the conversion is not
  possible the runtime MUST generate an error". crun does so; runc is silent about it.

A 0 that v1 callers send for "unset" is read so, as by runc, wherever the kernel would refuse it or kill for it.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from aethel_common.errors import InvalidArgument, InvalidSpec, Unsupported, WrongState
from aethel_run.cgroup import blockio, unified
from aethel_run.cgroup.controllers import Controllers
from aethel_run.cgroup.files import Write
from aethel_run.cgroup.tree import Cgroup
from aethel_run.spec.resources import Cpu, HugepageLimit, Memory, Pids, Rdma, Resources

_DEFAULT_PERIOD: Final = 100_000
_ROOT: Final = "linux.resources"


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is in force now; without arguments, a new cgroup's. Bytes and microseconds, None is without a limit."""

    memory_max: int | None = None
    swap_max: int | None = None
    memory_current: int = 0
    swap_current: int = 0
    quota: int | None = None
    period: int = _DEFAULT_PERIOD


def present(cgroup: Cgroup) -> Present:
    """Read it; what is not there is as in a new cgroup."""
    quota, _, period = (cgroup.read("cpu.max") or f"max {_DEFAULT_PERIOD}").partition(" ")
    return Present(
        memory_max=_bound(cgroup.read("memory.max")),
        swap_max=_bound(cgroup.read("memory.swap.max")),
        memory_current=_bound(cgroup.read("memory.current")) or 0,
        swap_current=_bound(cgroup.read("memory.swap.current")) or 0,
        quota=_bound(quota),
        period=int(period),
    )


def _bound(text: str | None) -> int | None:
    return None if text is None or text.strip() == "max" else int(text)


def writes(resources: Resources, now: Present = Present()) -> tuple[Write, ...]:
    """What to write, in order. Raises InvalidSpec for what makes no sense, Unsupported for what v2 cannot do."""
    _refuse_what_v2_lacks(resources)
    return tuple(
        chain(
            _pids(resources.pids),
            _memory(resources.memory, now),
            blockio.writes(resources.block_io),
            _cpu(resources.cpu, now),
            _cpuset(resources.cpu),
            chain.from_iterable(map(_hugepages, resources.hugepage_limits)),
            chain.from_iterable(_rdma(name, rdma) for name, rdma in sorted(resources.rdma.items())),
            unified.writes(resources.unified),
        )
    )


def needed(resources: Resources) -> frozenset[str]:
    """The controllers that these limits need."""
    return frozenset(_files_by_controller(resources, Present(memory_max=0)))


def check(resources: Resources, available: Controllers, now: Present = Present()) -> None:
    """Whether a cgroup there can have these limits; for a new one to be asked before anything is made.

    Raises InvalidSpec, and Unsupported naming the controller, the files and the place.
    """
    available.require(_files_by_controller(resources, now))


def _files_by_controller(resources: Resources, now: Present) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for write in writes(resources, now):
        if write.controller != "cgroup":
            found.setdefault(write.controller, set()).add(write.file)
    return found


def ignored(resources: Resources) -> tuple[str, ...]:
    """JSON paths of what is set and passed over."""
    memory = resources.memory
    kernel = {"kernel": memory.kernel, "kernelTCP": memory.kernel_tcp}
    return tuple(f"{_ROOT}.memory.{name}" for name, value in kernel.items() if value not in (None, -1, 0))


def apply(cgroup: Cgroup, resources: Resources) -> None:
    """Put the limits in force, on a new cgroup or a running container's.

    Raises InvalidSpec, Unsupported, WrongState (checkBeforeUpdate), InvalidArgument with the kernel's refusal, OSError.
    """
    now = present(cgroup)
    refuse_below_usage(resources.memory, now)
    for write in writes(resources, now):
        put(cgroup, write)


def put(cgroup: Cgroup, write: Write) -> None:
    """One of them. Raises Unsupported, InvalidArgument, OSError."""
    try:
        cgroup.write(write.file, write.text)
    except FileNotFoundError:
        if write.instead is not None:
            put(cgroup, write.instead)
        elif not write.optional:
            raise _no_file(cgroup, write) from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ERANGE, errno.ENODEV, errno.EOPNOTSUPP, errno.EOVERFLOW):
            why = os.strerror(error.errno)
            raise InvalidArgument(f"{cgroup.path / write.file}: the kernel refuses {write.text!r}: {why}") from error
        raise


def _no_file(cgroup: Cgroup, write: Write) -> Unsupported:
    has = (cgroup.read("cgroup.controllers") or "").split()
    if write.controller not in (*has, "cgroup"):
        return Unsupported(f"{write.controller} is not a controller of {cgroup.path}, so {write.file} cannot be set")
    return Unsupported(f"this kernel's {write.controller} controller has no {write.file} ({cgroup.path})")


def _refuse_what_v2_lacks(resources: Resources) -> None:
    memory, cpu, network = resources.memory, resources.cpu, resources.network
    lacking = {
        "memory.swappiness": memory.swappiness is not None,
        "memory.disableOOMKiller": memory.disable_oom_killer is True,
        "memory.useHierarchy": memory.use_hierarchy is False,
        "cpu.realtimeRuntime": bool(cpu.realtime_runtime),
        "cpu.realtimePeriod": bool(cpu.realtime_period),
        "network.classID": bool(network.class_id),
        "network.priorities": bool(network.priorities),
    }
    for name, is_set in lacking.items():
        if is_set:
            raise Unsupported(f"{_ROOT}.{name}: cgroup v2 has no such thing")


def refuse_below_usage(memory: Memory, now: Present) -> None:
    """The kernel would kill to get there; checkBeforeUpdate asks for an error, as cgroup v1 gave."""
    if not memory.check_before_update:
        return
    if memory.limit is not None and 0 < memory.limit <= now.memory_current:
        raise WrongState(f"memory limit {memory.limit} is not above the {now.memory_current} bytes in use")
    total = now.memory_current + now.swap_current
    if memory.swap is not None and 0 < memory.swap <= total:
        raise WrongState(f"memory and swap limit {memory.swap} is not above the {total} bytes in use")


def _memory(memory: Memory, now: Present) -> Iterator[Write]:
    limit = [Write("memory.max", _text(memory.limit, "memory.limit"))] if memory.limit else []
    swap = _swap(memory, now)
    # More room first: memory squeezed out while swap is still small would be killed for.
    if swap and _is_raised(swap[0].text, now.swap_max):
        yield from (*swap, *limit)
    else:
        yield from (*limit, *swap)
    if memory.reservation:
        yield Write("memory.low", _text(memory.reservation, "memory.reservation"))


def _is_raised(text: str, before: int | None) -> bool:
    return before is not None and (text == "max" or int(text) > before)


def _swap(memory: Memory, now: Present) -> list[Write]:
    """memory.swap.max is of swap alone, `swap` of both together.

    Without swap in the kernel there is no file, and none is needed for "no limit" and "no swap".
    """
    swap, limit = memory.swap, memory.limit
    if not swap:
        return [Write("memory.swap.max", "max", optional=True)] if limit == -1 else []
    if swap == -1 or limit == -1:
        text = _text(swap, "memory.swap")
        return [Write("memory.swap.max", text, optional=text == "max")]
    limit = limit or now.memory_max
    if limit is None:
        raise InvalidSpec(f"{_ROOT}.memory.swap: is of memory and swap together, and needs memory.limit")
    if swap < limit:
        raise InvalidSpec(
            f"{_ROOT}.memory.swap: {swap} is of memory and swap together, and less than {limit} of memory"
        )
    return [Write("memory.swap.max", str(swap - limit), optional=swap == limit)]


def _text(value: int, name: str) -> str:
    if value < -1:
        raise InvalidSpec(f"{_ROOT}.{name}: {value} is below -1, which is no limit")
    return "max" if value == -1 else str(value)


def _pids(pids: Pids) -> Iterator[Write]:
    """0 becomes 1, as in runc: init itself is one, and systemd knows no 0."""
    if pids.limit is not None:
        yield Write("pids.max", "max" if pids.limit < 0 else str(max(pids.limit, 1)))


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


def _cpu(cpu: Cpu, now: Present) -> Iterator[Write]:
    if cpu.idle not in (None, 0, 1):
        raise InvalidSpec(f"{_ROOT}.cpu.idle: {cpu.idle} is neither 0 nor 1")
    if cpu.idle is not None:
        yield Write("cpu.idle", str(cpu.idle), optional=cpu.idle == 0)
    # An idle cgroup has the least weight there is, and the kernel lets none be set.
    if cpu.shares and cpu.idle != 1:
        yield Write("cpu.weight", str(weight_of_shares(cpu.shares)))
    yield from _bandwidth(cpu, now)


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


def _hugepages(limit: HugepageLimit) -> Iterator[Write]:
    size = limit.page_size
    if not (size[-2:-1] in tuple("KMG") and size.endswith("B") and size[:-2].isascii() and size[:-2].isdigit()):
        raise InvalidSpec(f"{_ROOT}.hugepageLimits: {size!r} is not a page size such as 2MB")
    yield Write(f"hugetlb.{size}.max", str(limit.limit))
    yield Write(f"hugetlb.{size}.rsvd.max", str(limit.limit), optional=True)  # Linux 5.7


def _rdma(name: str, rdma: Rdma) -> Iterator[Write]:
    if not name or len(name.split()) != 1:
        raise InvalidSpec(f"{_ROOT}.rdma: {name!r} is not a device's name")
    kinds = {"hca_handle": rdma.hca_handles, "hca_object": rdma.hca_objects}
    values = [f"{kind}={value}" for kind, value in kinds.items() if value is not None]
    if not values:
        raise InvalidSpec(f"{_ROOT}.rdma.{name}: neither hcaHandles nor hcaObjects")
    yield Write("rdma.max", " ".join([name, *values]))
