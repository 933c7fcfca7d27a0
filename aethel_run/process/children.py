"""End a process of ours."""

from __future__ import annotations

import os
import signal

from aethel_common.linux import processes


def kill_and_reap(pidfd: int) -> None:
    """SIGKILL, wait until it is gone, and close the descriptor."""
    try:
        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        pass  # reaped before, or our parent's child
    os.close(pidfd)
