"""Send a descriptor to who asked for it: the terminal's master, or a pidfd. man 7 unix (SCM_RIGHTS)"""

from __future__ import annotations

import socket

from aethel_common.errors import AethelError


def send(path: str, fd: int, name: str) -> None:
    """Over the Unix socket at `path`, with `name` as the message. Raises AethelError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
            socket.send_fds(sock, [name.encode()], [fd])
        except OSError as error:
            raise AethelError(f"{name} socket {path}: {(error.strerror or str(error)).lower()}") from error
