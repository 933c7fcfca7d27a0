"""How a container was made, from the story that its start left; and how one would be made, from its document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from aethel_common.errors import NotFound
from aethel_d.engine import checks, create, start
from aethel_d.engine.context import Engine
from aethel_d.engine.model import ContainerConfig, NetworkMode
from aethel_d.monitor import plan as monitor
from aethel_run import explain, story
from aethel_run.explain import Line
from aethel_run.lifecycle.plan import Entry, lines, whole

PLAN: Final = whole(
    first=(*(Entry("D", act) for act in start.BEFORE_THE_MONITOR), *monitor.FIRST),
    namespaces_ready=(*monitor.NAMESPACES_READY, Entry("D", start.wire_network)),
)


def told(engine: Engine, wanted: str, *, json: bool) -> Iterator[str]:
    """The story of a container's newest start, a line at a time. Raises NotFound when none was kept."""
    container = engine.containers.get(engine.containers.find(wanted))
    try:
        file = open(engine.layout.container(container.id).story, "rb")  # noqa: SIM115 -- closed when all is read
    except FileNotFoundError:
        raise NotFound(
            f"container {container.name} has no story", hint="it is kept from the next start on if made with --explain"
        ) from None
    with file:
        yield from rendered(file, "json" if json else "text")


def rendered(lines: Iterable[bytes], form: str) -> Iterator[str]:
    """A story in the form of that name; text is put in order for reading. Raises InvalidArgument."""
    render = explain.form(form)
    events = map(story.decode, lines)
    ordered = explain.by_step(events) if form == "text" else events
    return (render(event).decode(errors="replace") for event in ordered)


def planned(engine: Engine, config: ContainerConfig, *, json: bool) -> str:
    """What would be done for such a container; nothing is. Raises as `create` does."""
    container = create.imagined(engine, config)
    document = checks.checked_document(engine, container)
    found = [_known(line, container.config) for line in lines(PLAN, document)]
    if json:
        return "".join(msgspec.json.encode(line).decode() + "\n" for line in found)
    return explain.plan_text(found)


def _known(line: Line, config: ContainerConfig) -> Line:
    """The document does not say whether there is an address to be leased."""
    if line.name == start.lease_address.name:
        return msgspec.structs.replace(line, applies=config.network is NetworkMode.BRIDGE)
    return line
