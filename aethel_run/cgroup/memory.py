"""`linux.resources.memory` to memory.max, memory.swap.max and memory.low. cgroup-v2.rst#memory-interface-files"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aethel_common.errors import InvalidSpec, WrongState
from aethel_run.cgroup.files import Write
from aethel_run.cgroup.present import Present
from aethel_run.spec.resources import Memory

_ROOT: Final = "linux.resources"


def writes(memory: Memory, now: Present) -> Iterator[Write]:
    """In order. Raises InvalidSpec."""
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


def refuse_below_usage(memory: Memory, now: Present) -> None:
    """The kernel would kill to get there; checkBeforeUpdate asks for an error, as cgroup v1 gave."""
    if not memory.check_before_update:
        return
    if memory.limit is not None and 0 < memory.limit <= now.memory_current:
        raise WrongState(f"memory limit {memory.limit} is not above the {now.memory_current} bytes in use")
    total = now.memory_current + now.swap_current
    if memory.swap is not None and 0 < memory.swap <= total:
        raise WrongState(f"memory and swap limit {memory.swap} is not above the {total} bytes in use")
