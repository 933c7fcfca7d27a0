"""The whole plan: what the parent does, with init's own table of contents (`init.plan`) in its place."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aethel_common.errors import InvalidArgument
from aethel_run.cgroup.making import make_cgroup
from aethel_run.explain import Line
from aethel_run.init import protections
from aethel_run.init.context import Init
from aethel_run.init.plan import SETUP_STEPS, START_STEPS
from aethel_run.init.step import Step
from aethel_run.init.steps import hooks
from aethel_run.lifecycle import acts, gate
from aethel_run.process import filters, idmap, spawn
from aethel_run.spec.config import Spec
from aethel_run.spec.process import NOTHING_TO_RUN
from aethel_run.spec.state import NOBODY
from aethel_run.story import Act


class Entry(NamedTuple):
    """Who does what: `M` the parent of init, `I` init, `D` the daemon."""

    actor: str
    does: Act[..., Any] | Step


def whole(*, first: Sequence[Entry] = (), namespaces_ready: Sequence[Entry] = ()) -> tuple[Entry, ...]:
    """The plan of a container, with what its maker adds: at the beginning, and when the namespaces are there."""
    return (
        *first,
        *_parent(make_cgroup, spawn.spawn, idmap.write_maps, acts.move_links),
        *namespaces_ready,
        *_parent(acts.open_root, acts.open_sources, acts.give_stdio),
        *_setup(),
        *_parent(acts.give_attributes, gate.open_gate),
        *(Entry("I", step) for step in START_STEPS),
        *_parent(gate.run_poststart_hooks),
    )


def _parent(*does: Act[..., Any]) -> Iterable[Entry]:
    return (Entry("M", act) for act in does)


def _setup() -> Iterable[Entry]:
    for step in SETUP_STEPS:
        yield Entry("I", step)
        if step is hooks.await_runtime_hooks:
            yield Entry("M", acts.run_runtime_hooks)


def places(plan: Iterable[Entry]) -> Mapping[str, str]:
    """`M3` and so on, by the name of the act or step."""
    counts: Counter[str] = Counter()
    found = {}
    for actor, does in plan:
        counts[actor] += 1
        found[does.name] = f"{actor}{counts[actor]}"
    return found


def lines(plan: Sequence[Entry], spec: Spec, without: Iterable[str] = ()) -> list[Line]:
    """What would be done for a document, and what would not; what is left `without` is there all the same."""
    numbers = places(plan)
    process = spec.process or NOTHING_TO_RUN
    stdio = None if process.terminal else (0, 1, 2)
    with socket.socket() as nobody:
        init = Init(
            spec=spec,
            process=process,
            rootfs_fd=-1,
            sources={},
            stdio=stdio,
            sync=nobody,
            state=NOBODY,
            filter=filters.compiled(spec),
            without=frozenset(without),
        )
        return [_line(numbers[entry.does.name], entry.does, _applies(entry.does, spec, init)) for entry in plan]


def _applies(does: Act[..., Any] | Step, spec: Spec, init: Init) -> bool:
    return does.applies(init) if isinstance(does, Step) else does.applies(spec)


def _line(place: str, does: Act[..., Any] | Step, applies: bool) -> Line:
    return Line(
        step=place,
        name=does.name,
        sentence=does.sentence,
        man=does.man,
        applies=applies,
        only=does.only,
        without=protections.loss(does.name) if isinstance(does, Step) else "",
    )


def check_without(without: Collection[str], spec: Spec) -> None:
    """Refuse to leave out what may not be, and what is not done anyway. Raises InvalidArgument."""
    protections.check(without, spec)
    for line in lines(RUNTIME, spec, without):
        if line.name in without and not line.applies:
            raise InvalidArgument(
                f"without: {line.name} is not done for this container anyway", hint=f"only {line.only}"
            )


RUNTIME: Final = whole()
"""Of a container that `aethel-run` makes."""
