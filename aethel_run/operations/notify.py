"""What a service manager gave us, passed on to the container. man 3 sd_notify, man 3 sd_listen_fds"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from aethel_run.spec.config import Spec
from aethel_run.spec.mounts import Mount

_INSIDE: Final = "/run/notify.sock"


def passed_sockets() -> int:
    """How many listening sockets came with us, from descriptor 3 on."""
    count = os.environ.get("LISTEN_FDS", "")
    return int(count) if count.isascii() and count.isdigit() else 0


def wired(spec: Spec) -> Spec:
    """The document with the manager's socket bound in and named, and the passed sockets told of."""
    if spec.process is None:
        return spec
    env = tuple(each for each in spec.process.env if not each.startswith(("NOTIFY_SOCKET=", "LISTEN_PID=")))
    mounts = spec.mounts
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith("/"):
        env = (*env, f"NOTIFY_SOCKET={_INSIDE}")
        mounts = (*mounts, Mount(destination=_INSIDE, type="bind", source=address, options=("bind",)))
    if passed_sockets():
        listening = f"LISTEN_FDS={passed_sockets()}"
        env = (*(each for each in env if not each.startswith("LISTEN_FDS=")), listening, "LISTEN_PID=1")
    process = msgspec.structs.replace(spec.process, env=env)
    return msgspec.structs.replace(spec, process=process, mounts=mounts)
