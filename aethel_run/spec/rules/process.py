"""Rules of `process`. config.md#process"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux.capabilities import Capability
from aethel_common.linux.resources import Rlimit
from aethel_run.spec import lists
from aethel_run.spec.process import Process
from aethel_run.spec.scheduling import Scheduler, SchedulerPolicy

_NO_ID: Final = 2**32 - 1
"""To setresuid(2) it means: leave it as it is, which is root's."""
_MAX_GROUPS: Final = 65536
"""man 2 setgroups"""
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


def console_is_a_size(process: Process) -> None:
    """man 2 TIOCSWINSZ: two bytes each."""
    size = process.console_size
    if size is not None and max(size.height, size.width) > 0xFFFF:
        raise InvalidSpec(f"process.consoleSize: {size.width}x{size.height} is more than a terminal has")


def ids_are_ids(process: Process) -> None:
    """Never the number that stands for none (CVE-2024-40635). config.md#posix-platform-user"""
    user = process.user
    for field, number in (("uid", user.uid), ("gid", user.gid), *(("additionalGids", g) for g in user.additional_gids)):
        if number == _NO_ID:
            raise InvalidSpec(f"process.user.{field}: {number} is not an id")
    if len(user.additional_gids) >= _MAX_GROUPS:
        raise InvalidSpec(f"process.user.additionalGids: {len(user.additional_gids)} are more than a process can have")
    if user.umask is not None and user.umask > 0o777:
        raise InvalidSpec(f"process.user.umask: 0{user.umask:o} is more than 0777")


def rlimits_are_known_once(process: Process) -> None:
    """config.md#posix-process: a duplicate is an error."""
    kinds = [limit.type for limit in process.rlimits]
    for kind in kinds:
        if kind not in Rlimit.__members__:
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


def scheduler_is_in_range(process: Process) -> None:
    """man 2 sched_setattr"""
    scheduler = process.scheduler
    if scheduler is None:
        return
    if not -20 <= scheduler.nice <= 19:
        raise InvalidSpec(f"process.scheduler.nice: {scheduler.nice} is not from -20 to 19")
    if not 0 <= scheduler.priority < 2**31:
        raise InvalidSpec(f"process.scheduler.priority: {scheduler.priority} is not a priority")
    if max(scheduler.runtime, scheduler.deadline, scheduler.period) >= 2**64:
        raise InvalidSpec("process.scheduler: runtime, deadline and period have 64 bits")


def scheduler_fits_its_policy(process: Process) -> None:
    """What a policy has no use for must not be set. man 2 sched_setattr"""
    scheduler = process.scheduler
    if scheduler is None:
        return
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


def affinity_lists_cpus(process: Process) -> None:
    """config.md#linux-process (execCPUAffinity)"""
    affinity = process.exec_cpu_affinity
    if affinity is not None:
        lists.numbers(affinity.initial, "process.execCPUAffinity.initial", lists.MAX_CPUS)
        lists.numbers(affinity.final, "process.execCPUAffinity.final", lists.MAX_CPUS)


_RULES: Final = (
    it_is_runnable,
    strings_have_no_nul,
    console_is_a_size,
    ids_are_ids,
    rlimits_are_known_once,
    oom_score_is_in_range,
    scheduler_is_in_range,
    scheduler_fits_its_policy,
    io_priority_is_in_range,
    affinity_lists_cpus,
)
