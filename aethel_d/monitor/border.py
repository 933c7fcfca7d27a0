"""The border of a process of ours: where its words go, and how its failure is told."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable

from aethel_common.errors import AethelError, from_os
from aethel_d.monitor import protocol


def use_log(launch: protocol.Launch) -> None:
    """stdin and stdout lead nowhere, stderr to monitor.log. Raises OSError."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    log = os.open(f"{launch.bundle}/monitor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for fd, source in ((0, null), (1, null), (2, log)):
        # The daemon's own stderr may be a pipe whose reader waits for its end.
        os.dup2(source, fd)
    os.close(null)
    os.close(log)


def told(life: Callable[[], None], launch: protocol.Launch, listener: socket.socket) -> int:
    """Run `life`, and tell `listener` what it raises. The exit status of this process."""
    try:
        try:
            life()
        except OSError as error:
            raise from_os(error, f"monitor of {launch.container_id[:12]}") from error
    except AethelError as error:
        traceback.print_exc()
        protocol.tell(listener, protocol.Failed.of(error))
        return 1
    except Exception as error:  # noqa: BLE001 -- the border of the process
        traceback.print_exc()
        protocol.tell(listener, protocol.Failed(kind="AethelError", message=f"monitor: {error!r}"))
        return 1
    return 0
