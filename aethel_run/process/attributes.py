"""What a process cannot give itself in a user namespace, and so gets from its parent once it is set up."""

from __future__ import annotations

from aethel_run.process import limits, scheduling
from aethel_run.spec.process import Process


def give(pid: int, process: Process) -> None:
    """Resource limits, OOM score, scheduler and io priority of a process that waits at its gate.

    Not before: the set-up would run under the limits of the program. Raises NotPermitted, Unsupported, AethelError,
    with the JSON path.
    """
    limits.set_oom_score(pid, process)
    limits.set_rlimits(pid, process)
    scheduling.set_io_priority(pid, process)
    scheduling.set_scheduler(pid, process)
