"""On which CPUs a process runs before it is in the container's cgroup, and after. config.md#linux-process

with affinity.initial(process):     the parent, before it clones into the cgroup
    clone3(...)
affinity.set_final(pid, process)    once the process is there
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from aethel_common.errors import AethelError, InvalidArgument, from_os
from aethel_common.linux import scheduling
from aethel_run.spec import lists
from aethel_run.spec.process import Process


@contextlib.contextmanager
def initial(process: Process) -> Iterator[None]:
    """Run this thread on execCPUAffinity.initial within the block: what it clones begins there.

    Raises InvalidArgument when none of the CPUs is there.
    """
    text = process.exec_cpu_affinity.initial if process.exec_cpu_affinity is not None else ""
    if not text:
        yield
        return
    before = os.sched_getaffinity(0)
    _set(0, text, "process.execCPUAffinity.initial")
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def set_final(pid: int, process: Process) -> None:
    """Move it to execCPUAffinity.final. With neither of the two named, let it run wherever its cgroup may."""
    wanted = process.exec_cpu_affinity
    if wanted is not None and wanted.final:
        _set(pid, wanted.final, "process.execCPUAffinity.final")
    elif wanted is None or not wanted.initial:
        release(pid)


def release(pid: int) -> None:
    """Let it run wherever its cgroup may: what the runtime was pinned to is the runtime's own."""
    try:
        scheduling.use_every_cpu(pid)
    except PermissionError:
        pass  # a process of another user: it keeps what it has inherited


def _set(pid: int, text: str, where: str) -> None:
    try:
        os.sched_setaffinity(pid, lists.numbers(text, where, lists.MAX_CPUS))
    except OSError as error:
        raise _explained(error, where, text) from error


def _explained(error: OSError, where: str, text: str) -> AethelError:
    if error.errno == errno.EINVAL:
        return InvalidArgument(f"{where}: none of the CPUs {text} is there for it")
    return from_os(error, where)
