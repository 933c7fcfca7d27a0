"""The limits of one process, given from outside: in a user namespace the kernel takes them from nobody within.

Raising a hard limit, and lowering the OOM score, ask for a capability of the initial user namespace.
"""

from __future__ import annotations

from typing import Final

from aethel_common.errors import NotPermitted, from_os
from aethel_common.linux import calls, resources
from aethel_common.linux.resources import Rlimit
from aethel_run.spec.process import Process

_NEEDS: Final = "CAP_SYS_RESOURCE of the initial user namespace"


def set_rlimits(pid: int, process: Process) -> None:
    """man 2 prlimit. Raises NotPermitted, AethelError."""
    for limit in process.rlimits:
        try:
            resources.set_limit(pid, Rlimit[limit.type], limit.soft, limit.hard)
        except PermissionError as error:
            most = resources.get_limit(pid, Rlimit[limit.type])[1]
            raise NotPermitted(
                f"process.rlimits: {limit.type}: {limit.hard} is above the hard limit {most} of this runtime",
                hint=f"to raise it needs {_NEEDS}; RLIMIT_NOFILE ends at the sysctl fs.nr_open",
            ) from error
        except OSError as error:
            raise from_os(error, f"process.rlimits: {limit.type}") from error


def set_oom_score(pid: int, process: Process) -> None:
    """How readily the kernel kills it for want of memory; not touched when the document has none.

    man 5 proc_pid_oom_score_adj. Raises NotPermitted, AethelError.
    """
    if process.oom_score_adj is None:
        return
    try:
        calls.write_file(f"/proc/{pid}/oom_score_adj", str(process.oom_score_adj).encode())
    except PermissionError as error:
        raise NotPermitted(
            f"process.oomScoreAdj: {process.oom_score_adj} is less than this runtime has itself",
            hint=f"to lower it needs {_NEEDS}",
        ) from error
    except OSError as error:
        raise from_os(error, "process.oomScoreAdj") from error
