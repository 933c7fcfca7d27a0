"""The offsets of a new time namespace, to be written before any process is in it. man 7 time_namespaces"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Final

from aethel_common.errors import AethelError, InvalidSpec, NotPermitted, Unsupported, WrongState, from_os
from aethel_common.linux import calls
from aethel_run.spec.linux import TimeOffset

_REASONS: Final[Mapping[int, tuple[type[AethelError], str]]] = {
    errno.ERANGE: (InvalidSpec, "a clock would stand below 0 or more than 146 years ahead"),
    errno.EACCES: (WrongState, "a process is in the new time namespace already"),
    errno.EPERM: (NotPermitted, "needs CAP_SYS_TIME in the user namespace that owns the time namespace"),
}


def render(offsets: Mapping[str, TimeOffset]) -> str:
    """The text of timens_offsets: a line for each clock."""
    return "".join(f"{clock} {offset.secs} {offset.nanosecs}\n" for clock, offset in sorted(offsets.items()))


def write_offsets(pid: int | str, offsets: Mapping[str, TimeOffset]) -> None:
    """Set the clocks of the time namespace that the children of `pid` (or "self") will be in.

    Raises InvalidSpec, WrongState, NotPermitted, Unsupported, AethelError.
    """
    path = f"/proc/{pid}/timens_offsets"
    try:
        # All in one: the kernel takes every line or none.
        calls.write_file(path, render(offsets).encode())
    except FileNotFoundError as error:
        raise Unsupported("linux.timeOffsets: this kernel has no time namespaces") from error
    except OSError as error:
        kind, reason = _REASONS.get(error.errno or 0, (AethelError, ""))
        if reason:
            raise kind(f"linux.timeOffsets: {reason}") from error
        raise from_os(error, "linux.timeOffsets") from error
