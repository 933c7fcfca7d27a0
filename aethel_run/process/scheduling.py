"""When one process runs and does io, given from outside: in a user namespace the kernel takes it from nobody within.

What outranks others (SCHED_FIFO, a negative nice value, IOPRIO_CLASS_RT) asks for CAP_SYS_NICE of the initial one.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from aethel_common.errors import from_os
from aethel_common.linux import scheduling
from aethel_common.linux.scheduling import IoPriorityClass, SchedFlags, SchedPolicy
from aethel_run.spec.process import Process


def set_scheduler(pid: int, process: Process) -> None:
    """man 2 sched_setattr. Raises NotPermitted, Unsupported, AethelError."""
    wanted = process.scheduler
    if wanted is None:
        return
    try:
        scheduling.sched_setattr(
            pid,
            SchedPolicy[wanted.policy],
            reduce(or_, (SchedFlags[flag] for flag in wanted.flags), SchedFlags(0)),
            nice=wanted.nice,
            priority=wanted.priority,
            runtime=wanted.runtime,
            deadline=wanted.deadline,
            period=wanted.period,
        )
    except OSError as error:
        raise from_os(error, f"process.scheduler: {wanted.policy}") from error


def set_io_priority(pid: int, process: Process) -> None:
    """Of the one process that is there yet, and so of all it will start. man 2 ioprio_set. Raises as set_scheduler."""
    wanted = process.io_priority
    if wanted is None:
        return
    try:
        scheduling.ioprio_set(pid, IoPriorityClass[wanted.class_], wanted.priority)
    except OSError as error:
        raise from_os(error, f"process.ioPriority: {wanted.class_}") from error
