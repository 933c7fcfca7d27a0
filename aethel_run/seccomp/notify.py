"""Hand the listener of a filter with SCMP_ACT_NOTIFY to its agent. config-linux.md#containerprocessstate

The filtered process has the listener, and every call of it may be one that waits for the agent: all that it may do is
write(2) the listener's number, which is why a profile cannot have that call notified. Its parent fetches the descriptor
(`aethel_common.linux.processes.pidfd_getfd`) and gives it away from here, where no filter is in force.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

import msgspec

from aethel_common.errors import TimedOut, Unavailable
from aethel_run.spec.document import Document

_FD_NAME: Final = "seccompFd"
_TIMEOUT: Final = 10.0
"""Seconds for an agent to take what it is sent."""


class ContainerProcessState(Document, frozen=True, kw_only=True):
    """What goes with the descriptors; `fds` are their names, in order."""

    oci_version: str
    fds: tuple[str, ...]
    pid: int
    metadata: str = ""
    state: msgspec.Struct
    """The state of the container, runtime.md#state, as any Struct that encodes to it."""


_encode: Final = msgspec.json.Encoder().encode


def send_listener(
    path: str, listener: int, *, oci_version: str, pid: int, state: msgspec.Struct, metadata: str = ""
) -> None:
    """Send it over the stream socket at `path` (listenerPath), one connection for the one message.

    `pid` is the process's as the runtime sees it. The descriptor stays the caller's: an agent that dies must not leave
    it open here, so close it. Raises Unavailable or TimedOut when no agent takes it.
    """
    document = ContainerProcessState(oci_version=oci_version, fds=(_FD_NAME,), pid=pid, metadata=metadata, state=state)
    doing = f"linux.seccomp.listenerPath: {path}"
    try:
        _send(Path(path), _encode(document), listener)
    except TimeoutError as error:
        raise TimedOut(f"{doing}: the agent did not take the listener within {_TIMEOUT:g} s") from error
    except OSError as error:
        raise Unavailable(f"{doing}: {error.strerror or error}", hint="is the seccomp agent running?") from error


def _send(path: Path, message: bytes, listener: int) -> None:
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_TIMEOUT)
            sock.connect(f"/proc/self/fd/{directory}/{path.name}")  # sun_path holds 108 bytes only
            sent = socket.send_fds(sock, [message], [listener], socket.MSG_NOSIGNAL)
            sock.sendall(message[sent:], socket.MSG_NOSIGNAL)
    finally:
        os.close(directory)
