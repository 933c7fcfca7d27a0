"""The ids of a container's user namespace: a range of the host's for each, and the maps that follow. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from aethel_common.errors import Exhausted, InvalidArgument
from aethel_d.engine.asked import IdMap

Range = tuple[int, int]
"""First host id, and how many."""


def free_base(used: Iterable[Range], size: int, *, start: int, end: int) -> int:
    """The first id of a range that overlaps no other: behind the last if there is room, else in the first gap.

    Raises Exhausted.
    """
    taken = sorted(used)
    top = max((base + count for base, count in taken), default=start)
    if max(top, start) + size <= end:
        return max(top, start)
    at = start
    for base, count in taken:
        if base - at >= size:
            return at
        at = max(at, base + count)
    if end - at >= size:
        return at
    raise Exhausted(f"no range of {size} host ids is left for another container")


def whole_map(base: int, size: int, forced: Sequence[IdMap] = ()) -> tuple[IdMap, ...]:
    """Ids 0 to `size`-1 one to one onto the range, but for those that are mapped otherwise."""
    maps = list(forced)
    at = 0
    for each in sorted(forced, key=lambda each: each.inside):
        if each.inside > at and at < size:
            maps.append(_piece(base, at, min(each.inside, size)))
        at = max(at, each.inside + each.size)
    if at < size:
        maps.append(_piece(base, at, size))
    return tuple(sorted(maps, key=lambda each: each.inside))


def on_host(inside: int, maps: Iterable[IdMap]) -> int | None:
    """The host's id for one of the container; None when it has none."""
    for each in maps:
        if each.inside <= inside < each.inside + each.size:
            return each.host + inside - each.inside
    return None


def check(what: str, maps: Sequence[IdMap], *, start: int, end: int) -> None:
    """Raises InvalidArgument when maps overlap, are no ids, or lead into the ranges of containers (`start` to `end`)."""
    for each in maps:
        if each.size < 1 or max(each.inside, each.host) + each.size > 2**32 - 1:
            raise InvalidArgument(f"{what}: {_text(each)} is not a range of ids")
        if each.host < end and each.host + each.size > start:
            raise InvalidArgument(f"{what}: {_text(each)}: host ids {start} to {end - 1} are kept for containers")
    for side in ("inside", "host"):
        ordered = sorted(maps, key=lambda each: int(getattr(each, side)))
        for first, second in itertools.pairwise(ordered):
            if getattr(first, side) + first.size > getattr(second, side):
                raise InvalidArgument(f"{what}: {_text(first)} and {_text(second)} overlap")


def _piece(base: int, begin: int, end: int) -> IdMap:
    return IdMap(inside=begin, host=base + begin, size=end - begin)


def _text(each: IdMap) -> str:
    return f"{each.inside}:{each.host}:{each.size}"
