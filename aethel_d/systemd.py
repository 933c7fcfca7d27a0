"""What systemd passes in, and wants to be told. man 3 sd_listen_fds, man 3 sd_notify"""

from __future__ import annotations

import os
import socket
from typing import Final

_FIRST_FD: Final = 3


def passed_socket() -> socket.socket | None:
    """The listening socket that came with LISTEN_FDS, if one did; the variables are taken out of the environment."""
    count, pid = os.environ.pop("LISTEN_FDS", "0"), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if count != "1" or pid != str(os.getpid()):
        return None
    sock = socket.socket(fileno=_FIRST_FD)
    sock.set_inheritable(False)
    return sock


def notify(message: str) -> None:
    """Tell the service manager, if there is one: `READY=1`, `STOPPING=1`."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.send(message.encode())
