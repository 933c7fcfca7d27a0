"""Rules of `process`. config.md#process"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux.capabilities import Capability
from aethel_run.spec.process import Process
from aethel_run.spec.scheduling import Scheduler, SchedulerPolicy

_REAL_TIME: Final = (SchedulerPolicy.FIFO, SchedulerPolicy.RR)


def check(process: Process) -> None:
    """Apply every rule; also for a process that joins a container. Raises InvalidSpec for the first that is broken."""
    for rule in _RULES:
        rule(process)


def unknown_capabilities(process: Process) -> Iterator[str]:
    """Names that this runtime does not know: to be warned of, not refused. config.md#linux-process"""
    sets = process.capabilities
    if sets is not None:
        names = {*sets.bounding, *sets.effective, *sets.permitted, *sets.inheritable, *sets.ambient}
        yield from sorted(names - Capability.__members__.keys())


def it_is_runnable(process: Process) -> None:
    """An absolute working directory, and something to run."""
    if not process.cwd.startswith("/"):
        raise InvalidSpec(f"process.cwd: {process.cwd!r} is not absolute")
    if not process.args or not process.args[0]:
        raise InvalidSpec("process.args: empty")


def strings_have_no_nul(process: Process) -> None:
    """The kernel would cut them there."""
    for text in (*process.args, *process.env, process.cwd):
        if "\0" in text:
            raise InvalidSpec(f"process: {text!r} holds a NUL byte")


def rlimits_are_known_once(process: Process) -> None:
    """config.md#posix-process: a duplicate is an error."""
    kinds = [limit.type for limit in process.rlimits]
    for kind in kinds:
        if not kind.startswith("RLIMIT_") or not hasattr(resource, kind):
            raise InvalidSpec(f"process.rlimits: {kind!r} is unknown")
        if kinds.count(kind) > 1:
            raise InvalidSpec(f"process.rlimits: {kind} is there twice")
    for limit in process.rlimits:
        if not limit.soft <= limit.hard < 2**64:
            raise InvalidSpec(f"process.rlimits: {limit.type}: {limit.soft} is not within {limit.hard}")


def oom_score_is_in_range(process: Process) -> None:
    """man 5 proc_pid_oom_score_adj"""
    if process.oom_score_adj is not None and not -1000 <= process.oom_score_adj <= 1000:
        raise InvalidSpec(f"process.oomScoreAdj: {process.oom_score_adj} is not from -1000 to 1000")


def scheduler_fits_its_policy(process: Process) -> None:
    """What a policy has no use for must not be set. man 2 sched_setattr"""
    scheduler = process.scheduler
    if scheduler is None:
        return
    if not -20 <= scheduler.nice <= 19:
        raise InvalidSpec(f"process.scheduler.nice: {scheduler.nice} is not from -20 to 19")
    if scheduler.priority and scheduler.policy not in _REAL_TIME:
        raise InvalidSpec(f"process.scheduler.priority: {scheduler.policy} has none")
    if _has_deadline(scheduler) and scheduler.policy is not SchedulerPolicy.DEADLINE:
        raise InvalidSpec(
            f"process.scheduler: runtime, deadline and period go with SCHED_DEADLINE, not {scheduler.policy}"
        )


def _has_deadline(scheduler: Scheduler) -> bool:
    return bool(scheduler.runtime or scheduler.deadline or scheduler.period)


def io_priority_is_in_range(process: Process) -> None:
    """man 2 ioprio_set"""
    if process.io_priority is not None and not 0 <= process.io_priority.priority <= 7:
        raise InvalidSpec(f"process.ioPriority.priority: {process.io_priority.priority} is not from 0 to 7")


_RULES: Final = (
    it_is_runnable,
    strings_have_no_nul,
    rlimits_are_known_once,
    oom_score_is_in_range,
    scheduler_fits_its_policy,
    io_priority_is_in_range,
)
