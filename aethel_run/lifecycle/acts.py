"""What the parent of init does, in `lifecycle.plan`'s order; each act tells of itself while somebody listens."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from aethel_run import hooks
from aethel_run.process import affinity, attributes, netdevices, sources, stdio
from aethel_run.process.sources import Clone, needs_sources
from aethel_run.spec.config import Spec
from aethel_run.spec.process import Process
from aethel_run.spec.state import State
from aethel_run.story import act


@act(
    man="rtnetlink(7) network_namespaces(7)",
    when=lambda spec: bool(spec.linux.net_devices),
    only="with linux.netDevices",
)
def move_links(pid: int, spec: Spec) -> None:
    """Move links of the host into the new network namespace."""
    netns_fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        netdevices.move(netns_fd, spec.linux.net_devices)
    finally:
        os.close(netns_fd)


@act(man="open_tree(2) fsopen(2) mount_setattr(2)")
def open_root(open_rootfs: Callable[[int | None], int], path: str, userns_fd: int | None) -> int | None:
    """Open the root as a mount that is attached nowhere, idmapped if there is a user namespace.

    None where we may not and init, who has the privilege in its own namespaces, can: the root is at `path`.
    """
    try:
        return open_rootfs(userns_fd)
    except PermissionError as error:
        if error.errno == errno.EPERM and path:
            return None
        raise


@act(man="open_tree(2) mount_setattr(2)", when=needs_sources, only="with bind mounts")
def open_sources(spec: Spec, userns_fd: int | None, bundle: str, clone: Clone) -> dict[int, int]:
    """Open what is bound in from the host, which init may not be able to reach."""
    return sources.open_sources(spec, userns_fd, bundle, clone)


@act(
    man="fchown(2) pipe(7)",
    when=lambda spec: spec.process is None or not spec.process.terminal,
    only="without a terminal",
)
def give_stdio(fds: tuple[int, int, int], process: Process, spec: Spec) -> None:
    """Let the container's user open its pipes again by name."""
    stdio.give(fds, process, spec.linux)


@act(
    man="fork(2) execve(2)",
    when=lambda spec: bool(spec.hooks.prestart or spec.hooks.create_runtime),
    only="with prestart or createRuntime hooks",
)
def run_runtime_hooks(spec: Spec, state: State) -> None:
    """Run the hooks of the host's side, while init waits."""
    hooks.run_all("prestart", spec.hooks.prestart, state)
    hooks.run_all("createRuntime", spec.hooks.create_runtime, state)


@act(man="sched_setaffinity(2) prlimit(2)")
def give_attributes(pid: int, process: Process) -> None:
    """Set what a process cannot give itself in a user namespace: CPUs, limits, OOM score, scheduler."""
    affinity.release(pid)
    attributes.give(pid, process)
