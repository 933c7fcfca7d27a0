"""The container's end of its pipes. man 7 pipe"""

from __future__ import annotations

import os

from aethel_common.linux import calls
from aethel_run.process import idmap
from aethel_run.spec.linux import Linux, NamespaceType
from aethel_run.spec.process import Process


def give(stdio: tuple[int, int, int], process: Process, linux: Linux) -> None:
    """Let the container's user open its pipes again by name, as `> /dev/stderr` does."""
    uid: int | None = process.user.uid
    if linux.has(NamespaceType.USER):
        uid = idmap.on_host(process.user.uid, linux.uid_mappings)
    for fd in stdio:
        if uid is not None and _is_pipe(fd):
            _give(fd, uid)


def _give(fd: int, uid: int) -> None:
    try:
        calls.fchown(fd, uid, -1)
    except PermissionError:
        pass  # somebody else's pipe, or no right to give away our own: it can be used, only not opened anew


def _is_pipe(fd: int) -> bool:
    return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")
