"""The act that gives a container its cgroup."""

from __future__ import annotations

from collections.abc import Callable

from aethel_run.story import act


@act(man="cgroups(7)")
def make_cgroup(make: Callable[[], object]) -> None:
    """Make the control group that the container is born in: there is no moment without limits."""
    make()
