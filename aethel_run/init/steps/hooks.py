"""Hooks of the document, in their places among the other steps. runtime.md#lifecycle"""

from __future__ import annotations

import os

from aethel_common import fdsocket
from aethel_common.errors import AethelError
from aethel_run import hooks, sync
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.status import Status


@step(
    man="fork(2) execve(2)",
    when=lambda init: bool(init.spec.hooks.prestart or init.spec.hooks.create_runtime),
    only="with prestart or createRuntime hooks",
)
def await_runtime_hooks(init: Init) -> None:
    """Let the runtime run its hooks, in the host's namespaces, now that everything is mounted."""
    fdsocket.send(init.sync, sync.encode(sync.HooksPlease()))
    message, _ = fdsocket.receive(init.sync)
    if not message:
        raise AethelError("the runtime gave up")


@step(
    man="fork(2) execve(2)", when=lambda init: bool(init.spec.hooks.create_container), only="with createContainer hooks"
)
def run_create_container_hooks(init: Init) -> None:
    """Run programs of the host inside the container's namespaces, while the old root can still be reached."""
    hooks.run_all("createContainer", init.spec.hooks.create_container, init.state)


@step(
    man="fork(2) execve(2)", when=lambda init: bool(init.spec.hooks.start_container), only="with startContainer hooks"
)
def run_start_container_hooks(init: Init) -> None:
    """Run programs of the container in it, just before its own."""
    state = init.state.at(Status.CREATED, os.getpid())
    hooks.run_all("startContainer", init.spec.hooks.start_container, state, directory="/")
