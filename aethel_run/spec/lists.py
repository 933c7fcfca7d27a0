"""Lists of CPUs and of memory nodes, such as `0-3,7`. man 7 cpuset (List Format)"""

from __future__ import annotations

import re
from typing import Final

from aethel_common.errors import InvalidSpec

MAX_CPUS: Final = 8192
"""What the largest kernels are built for (CONFIG_NR_CPUS)."""
MAX_NODES: Final = 1024
"""CONFIG_NODES_SHIFT is at most 10."""

_ENTRY: Final = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")


def numbers(text: str, where: str, limit: int) -> frozenset[int]:
    """The members of the list, each below `limit`; empty text has none. Blanks and empty entries are passed over.

    Raises InvalidSpec, which begins with `where`.
    """
    found: set[int] = set()
    for entry in (part.strip(" \t\n") for part in text.split(",")):
        if entry:
            found.update(_range(entry, where, limit))
    if text and not found:
        raise InvalidSpec(f"{where}: {text!r} lists nothing")
    return frozenset(found)


def _range(entry: str, where: str, limit: int) -> range:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise InvalidSpec(f"{where}: {entry!r} is neither a number nor a range")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise InvalidSpec(f"{where}: {entry!r} ends before it begins")
    if last >= limit:
        raise InvalidSpec(f"{where}: {last} is more than {limit - 1}")
    return range(first, last + 1)
