"""When and where it runs: policy, io priority, CPUs. Each test names its section of the spec."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aethel_common.errors import AethelError, InvalidArgument
from aethel_run.process import affinity, attributes, limits
from aethel_run.spec.process import CpuAffinity, Process, Rlimit
from aethel_run.spec.scheduling import IoPriority, IoPriorityClass, Scheduler, SchedulerFlag, SchedulerPolicy
from tests.harness.scripts import in_child, open_descriptors
from tests.host.attributes.conftest import Run

# config.md#linux-process: scheduler


@pytest.mark.parametrize("userns", [False, True])
@pytest.mark.parametrize(
    ("scheduler", "policy", "priority"),
    [
        (Scheduler(policy=SchedulerPolicy.FIFO, priority=7), "1", "92"),
        (Scheduler(policy=SchedulerPolicy.RR, priority=1), "2", "98"),
        (Scheduler(policy=SchedulerPolicy.BATCH, nice=5), "3", "125"),
        (Scheduler(policy=SchedulerPolicy.IDLE), "5", "120"),
        (Scheduler(policy=SchedulerPolicy.OTHER, nice=-9), "0", "111"),
        (
            Scheduler(policy=SchedulerPolicy.DEADLINE, runtime=5_000_000, deadline=10_000_000, period=20_000_000),
            "6",
            "-1",
        ),
    ],
)
def test_each_policy_is_that_of_the_process(
    run: Run, scheduler: Scheduler, policy: str, priority: str, userns: bool
) -> None:
    """config.md#linux-process (scheduler): also in a user namespace, where init itself could not rise."""
    # The shell ends with its last command in its own place: a deadline task may not fork.
    script = "exec grep -E '^(policy|prio) ' /proc/self/sched"
    answer = run(script, userns=userns, scheduler=scheduler)
    assert [line.split(":")[1].strip() for line in answer.splitlines()] == [policy, priority]


def test_reset_on_fork_gives_children_the_ordinary_policy(run: Run) -> None:
    """config.md#linux-process (scheduler.flags)"""
    scheduler = Scheduler(policy=SchedulerPolicy.FIFO, priority=7, flags=(SchedulerFlag.RESET_ON_FORK,))
    answer = run("grep '^policy' /proc/$$/sched; grep '^policy' /proc/self/sched; true", scheduler=scheduler)
    assert [line.split(":")[1].strip() for line in answer.splitlines()] == ["1", "0"]


@pytest.mark.parametrize(
    "scheduler",
    [
        Scheduler(policy=SchedulerPolicy.ISO),
        Scheduler(policy=SchedulerPolicy.FIFO, priority=100),
        Scheduler(policy=SchedulerPolicy.DEADLINE, runtime=2, deadline=1),
    ],
)
def test_what_the_kernel_does_not_schedule_is_an_error_that_names_the_field(run: Run, scheduler: Scheduler) -> None:
    """config.md#linux-process (scheduler)"""
    before = open_descriptors()
    with pytest.raises(AethelError, match=rf"process\.scheduler: {scheduler.policy}: sched_setattr\(2\)"):
        run("true", scheduler=scheduler)
    assert open_descriptors() == before


# config.md#linux-process: ioPriority


@pytest.mark.parametrize("userns", [False, True])
@pytest.mark.parametrize(
    ("io_priority", "words"),
    [
        (IoPriority(class_=IoPriorityClass.RT, priority=3), "realtime: prio 3"),
        (IoPriority(class_=IoPriorityClass.BE, priority=7), "best-effort: prio 7"),
        (IoPriority(class_=IoPriorityClass.IDLE, priority=4), "idle"),
    ],
)
def test_the_io_priority_holds_for_all_that_it_starts(
    run: Run, io_priority: IoPriority, words: str, userns: bool
) -> None:
    """config.md#linux-process (ioPriority)"""
    answers = run("ionice -p $$; ionice -p 1; ionice", userns=userns, io_priority=io_priority).splitlines()
    assert [answer.startswith(words) for answer in answers] == [True] * 3, answers


# config.md#linux-process: execCPUAffinity


def test_a_process_begins_on_the_initial_cpus_and_ends_on_the_final_ones() -> None:
    """config.md#linux-process (execCPUAffinity)"""
    last = max(os.sched_getaffinity(0))
    process = Process(cwd="/", exec_cpu_affinity=CpuAffinity(initial="0", final=f"{last}"))

    def joins() -> object:
        before = os.sched_getaffinity(0)
        with affinity.initial(process):
            during = os.sched_getaffinity(0)
        after = os.sched_getaffinity(0)
        affinity.set_final(0, process)
        return during == {0}, before == after, os.sched_getaffinity(0) == {last}

    assert in_child(joins) == "(True, True, True)"


def test_without_a_final_list_the_kernel_decides() -> None:
    """config.md#linux-process (execCPUAffinity): SHOULD NOT change it."""
    process = Process(cwd="/", exec_cpu_affinity=CpuAffinity(initial="0"))

    def joins() -> object:
        os.sched_setaffinity(0, {0})
        affinity.set_final(0, process)
        kept = os.sched_getaffinity(0)
        affinity.set_final(0, Process(cwd="/"))
        return kept == {0}, len(os.sched_getaffinity(0)) == os.cpu_count()

    assert in_child(joins) == "(True, True)"


def test_a_cpu_that_is_not_there_is_an_error() -> None:
    """config.md#linux-process (execCPUAffinity)"""
    process = Process(cwd="/", exec_cpu_affinity=CpuAffinity(initial="8191", final="8191"))
    with (
        pytest.raises(InvalidArgument, match=r"execCPUAffinity\.initial: none of the CPUs 8191"),
        affinity.initial(process),
    ):
        pass
    with pytest.raises(InvalidArgument, match=r"execCPUAffinity\.final: none of the CPUs 8191"):
        affinity.set_final(0, process)


def test_the_runtimes_own_cpus_are_not_the_containers(run: Run) -> None:
    """config.md#linux-process (execCPUAffinity): it is not applicable to init, which runs where its cgroup may."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        answer = run("grep Cpus_allowed_list: /proc/self/status", exec_cpu_affinity=CpuAffinity(initial="0", final="0"))
    finally:
        os.sched_setaffinity(0, before)
    assert answer.split()[1] == Path("/sys/devices/system/cpu/possible").read_text().strip()


def test_an_exec_is_given_the_same_by_its_parent() -> None:
    """config.md#linux-process: what `create` gives init, `exec` gives its process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reading, 1)
        os._exit(0)
    try:
        attributes.give(
            pid,
            Process(
                cwd="/",
                oom_score_adj=77,
                rlimits=(Rlimit(type="RLIMIT_CPU", soft=5, hard=6),),
                scheduler=Scheduler(policy=SchedulerPolicy.BATCH),
            ),
        )
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "77"
        assert os.sched_getscheduler(pid) == os.SCHED_BATCH
        assert "Max cpu time              5                    6" in Path(f"/proc/{pid}/limits").read_text()
        limits.set_oom_score(pid, Process(cwd="/"))
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "77"
    finally:
        os.write(writing, b"x")
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)
