"""The parent's part of a system call filter: compiled before the clone, its listener given to the agent after it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from aethel_common.linux import processes
from aethel_run.spec.config import Spec
from aethel_run.spec.seccomp import Seccomp
from aethel_run.spec.state import State

if TYPE_CHECKING:
    from aethel_run.seccomp.compile import Filter


def compiled(spec: Spec) -> Filter | None:
    """For this machine; None without a profile. Raises Unsupported, InvalidSpec."""
    return None if spec.linux.seccomp is None else of_profile(spec.linux.seccomp, os.uname().machine)


@lru_cache(maxsize=4)
def of_profile(profile: Seccomp, machine: str) -> Filter:
    """Of a machine (`uname -m`). Kept: who expects a profile compiles it before anyone waits. Raises as `compiled`."""
    from aethel_run.seccomp.compile import compile_profile  # with the tables of all calls: only who has a profile pays

    return compile_profile(profile, machine)


def giver(spec: Spec, pidfd: int, pid: int, state: State) -> Callable[[int], None]:
    """Fetches the listener from a process by its number there, and sends it to the agent of the document."""

    def give(number: int) -> None:
        from aethel_run.seccomp import notify

        profile = spec.linux.seccomp
        assert profile is not None
        listener = processes.pidfd_getfd(pidfd, number)
        try:
            notify.send_listener(
                profile.listener_path,
                listener,
                oci_version=spec.oci_version,
                pid=pid,
                state=state,
                metadata=profile.listener_metadata,
            )
        finally:
            os.close(listener)

    return give
