"""`process.scheduler`, `ioPriority` and `execCPUAffinity`: when and where a process runs. config.md#linux-process"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from aethel_run.spec.document import Document, Uint64


class SchedulerPolicy(StrEnum):
    """man 7 sched"""

    OTHER = "SCHED_OTHER"
    FIFO = "SCHED_FIFO"
    RR = "SCHED_RR"
    BATCH = "SCHED_BATCH"
    ISO = "SCHED_ISO"
    IDLE = "SCHED_IDLE"
    DEADLINE = "SCHED_DEADLINE"


class SchedulerFlag(StrEnum):
    """linux/sched.h"""

    RESET_ON_FORK = "SCHED_FLAG_RESET_ON_FORK"
    RECLAIM = "SCHED_FLAG_RECLAIM"
    DL_OVERRUN = "SCHED_FLAG_DL_OVERRUN"
    KEEP_POLICY = "SCHED_FLAG_KEEP_POLICY"
    KEEP_PARAMS = "SCHED_FLAG_KEEP_PARAMS"
    UTIL_CLAMP_MIN = "SCHED_FLAG_UTIL_CLAMP_MIN"
    UTIL_CLAMP_MAX = "SCHED_FLAG_UTIL_CLAMP_MAX"


class Scheduler(Document, frozen=True, kw_only=True):
    """`runtime`, `deadline` and `period` are nanoseconds. man 2 sched_setattr"""

    policy: SchedulerPolicy
    nice: int = 0
    priority: int = 0
    flags: tuple[SchedulerFlag, ...] = ()
    runtime: Uint64 = 0
    deadline: Uint64 = 0
    period: Uint64 = 0


class IoPriorityClass(StrEnum):
    """man 2 ioprio_set"""

    RT = "IOPRIO_CLASS_RT"
    BE = "IOPRIO_CLASS_BE"
    IDLE = "IOPRIO_CLASS_IDLE"


class IoPriority(Document, frozen=True, kw_only=True):
    """`priority`: 0, the highest, to 7."""

    class_: IoPriorityClass = msgspec.field(name="class")
    priority: int = 0


class CpuAffinity(Document, frozen=True, kw_only=True):
    """For exec: lists such as `0-3,7`; before the process enters the cgroup, and after."""

    initial: str = ""
    final: str = ""
