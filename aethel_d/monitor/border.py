"""The border of a process: how its failure is told."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable

from aethel_common.errors import AethelError, from_os
from aethel_d.monitor import protocol


def told(life: Callable[[], None], listener: socket.socket) -> int:
    """Run `life`, and tell `listener` what it raises. The exit status of this process."""
    try:
        try:
            life()
        except OSError as error:
            raise from_os(error, "start the container") from error
    except AethelError as error:
        protocol.tell(listener, protocol.Failed.of(error))
        _note()
        return 1
    except Exception as error:  # noqa: BLE001 -- the border of the process
        protocol.tell(listener, protocol.Failed(kind="AethelError", message=f"monitor: {error!r}"))
        _note()
        return 1
    return 0


def _note() -> None:
    """The whole story, in monitor.log."""
    try:
        traceback.print_exc()
    except OSError:
        pass  # on a full disk; the error itself was told
