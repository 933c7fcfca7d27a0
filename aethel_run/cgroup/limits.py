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
import os
from collections.abc import Iterator
from itertools import chain
from typing import Final

from aethel_common.errors import InvalidArgument, InvalidSpec, Unsupported
from aethel_run.cgroup import blockio, cpu, memory, unified
from aethel_run.cgroup.controllers import Controllers
from aethel_run.cgroup.directory import Directory
from aethel_run.cgroup.files import Write
from aethel_run.cgroup.present import Present, present
from aethel_run.spec.resources import HugepageLimit, Pids, Rdma, Resources

_ROOT: Final = "linux.resources"


def writes(resources: Resources, now: Present = Present()) -> tuple[Write, ...]:
    """What to write, in order. Raises InvalidSpec for what makes no sense, Unsupported for what v2 cannot do."""
    _refuse_what_v2_lacks(resources)
    return tuple(
        chain(
            _pids(resources.pids),
            memory.writes(resources.memory, now),
            blockio.writes(resources.block_io),
            cpu.writes(resources.cpu, now),
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
    kernel = {"kernel": resources.memory.kernel, "kernelTCP": resources.memory.kernel_tcp}
    return tuple(f"{_ROOT}.memory.{name}" for name, value in kernel.items() if value not in (None, -1, 0))


def apply(cgroup: Directory, resources: Resources) -> None:
    """Put the limits in force, on a new cgroup or a running container's.

    Raises InvalidSpec, Unsupported, WrongState (checkBeforeUpdate), InvalidArgument with the kernel's refusal, OSError.
    """
    now = present(cgroup)
    memory.refuse_below_usage(resources.memory, now)
    for write in writes(resources, now):
        put(cgroup, write)


def put(cgroup: Directory, write: Write) -> None:
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


def _no_file(cgroup: Directory, write: Write) -> Unsupported:
    has = (cgroup.read("cgroup.controllers") or "").split()
    if write.controller not in (*has, "cgroup"):
        return Unsupported(f"{write.controller} is not a controller of {cgroup.path}, so {write.file} cannot be set")
    return Unsupported(f"this kernel's {write.controller} controller has no {write.file} ({cgroup.path})")


def _refuse_what_v2_lacks(resources: Resources) -> None:
    lacking = {
        "memory.swappiness": resources.memory.swappiness is not None,
        "memory.disableOOMKiller": resources.memory.disable_oom_killer is True,
        "memory.useHierarchy": resources.memory.use_hierarchy is False,
        "cpu.realtimeRuntime": bool(resources.cpu.realtime_runtime),
        "cpu.realtimePeriod": bool(resources.cpu.realtime_period),
        "network.classID": bool(resources.network.class_id),
        "network.priorities": bool(resources.network.priorities),
    }
    for name, is_set in lacking.items():
        if is_set:
            raise Unsupported(f"{_ROOT}.{name}: cgroup v2 has no such thing")


def _pids(pids: Pids) -> Iterator[Write]:
    """0 becomes 1, as in runc: init itself is one, and systemd knows no 0."""
    if pids.limit is not None:
        yield Write("pids.max", "max" if pids.limit < 0 else str(max(pids.limit, 1)))


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
