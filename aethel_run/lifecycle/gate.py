"""What the parent of init does when the container is started, as `lifecycle.acts`: apart, for who only starts it."""

from __future__ import annotations

import socket

from aethel_common import fdsocket
from aethel_run import hooks, story, sync
from aethel_run.spec.config import Spec
from aethel_run.spec.state import State
from aethel_run.story import act


@act(man="unix(7)")
def open_gate(sock: socket.socket) -> None:
    """Say Start to init, which waits at its gate."""
    teller = story.telling()
    if teller is None:
        fdsocket.send(sock, sync.encode(sync.Start()))
    else:
        fdsocket.send(sock, sync.encode(sync.Start(story=teller.word)), [teller.fd])


@act(man="fork(2) execve(2)", when=lambda spec: bool(spec.hooks.poststart), only="with poststart hooks")
def run_poststart_hooks(spec: Spec, state: State) -> None:
    """Run the hooks of the host's side that follow the start."""
    hooks.run_all("poststart", spec.hooks.poststart, state)
