"""Text of a story, and of a plan. Pure: what is told comes from `story` and the steps themselves.

I7 make_mounts_slave          Cut the way from our mounts to the host's; ...  [mount_namespaces(7) mount(2)]
     mount(NULL, "/", NULL, MS_REC|MS_SLAVE, NULL) = 0  21 µs
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from aethel_common.errors import InvalidArgument
from aethel_run import story
from aethel_run.story import AnyEvent, Call, Failed, Form, Omitted, Step

_SAME: Final = 4
"""So many calls of one name are shown one after the other; what follows is said to follow."""
_INDENT: Final = " " * 10


class Narrator:
    """Makes lines of events, one by one; remembers only what the last line was about."""

    def __init__(self) -> None:
        self._step = ""
        self._name = ""
        self._count = 0

    def __call__(self, event: AnyEvent) -> bytes:
        """A line, or nothing for one more call of many that are alike."""
        match event:
            case Step():
                self._begin(event.step, "")
                line = head(event.step, event.name, event.sentence, event.man)
            case Omitted():
                self._begin(event.step, "")
                line = f"{event.step:>4} {event.name:26} LEFT OUT, as --without asked: {event.sentence}"
            case Failed():
                line = f"{event.step:>4} {event.name:26} FAILED: {event.text}"
            case Call():
                line = self._call(event)
        return f"{line}\n".encode(errors="surrogateescape") if line else b""

    def _begin(self, step: str, name: str) -> None:
        self._step, self._name, self._count = step, name, 0

    def _call(self, call: Call) -> str:
        elsewhere = "" if call.step == self._step else f"({call.step}) "
        if not elsewhere:
            if call.name != self._name:
                self._begin(self._step, call.name)
            self._count += 1
            if self._count > _SAME:
                return f"{_INDENT}... and more of {call.name}(2)" if self._count == _SAME + 1 else ""
        return f"{_INDENT}{elsewhere}{call.name}({', '.join(call.arguments)}){_result(call)}"


def by_step(events: Iterable[AnyEvent]) -> list[AnyEvent]:
    """A story that is over, with what belongs together side by side: some acts happened at the same time."""
    steps: dict[str, list[AnyEvent]] = {}
    for event in events:
        steps.setdefault(event.step, []).append(event)
    return [event for step in steps.values() for event in step]


def _result(call: Call) -> str:
    if call.result is None:
        return ""
    result = f"0{call.result:o}" if call.name == "umask" else str(call.result)
    return f" = {result}{' ' + call.errno if call.errno else ''}  {call.took // 1000} µs"


def head(step: str, name: str, sentence: str, man: str) -> str:
    """The line of a step."""
    return f"{step:>4} {name:26} {sentence}  [{man}]"


_FORMS: Final[Mapping[str, Callable[[], Form]]] = {"text": Narrator, "json": lambda: story.encode}


def form(word: str) -> Form:
    """`text` or `json`. Raises InvalidArgument."""
    if word not in _FORMS:
        raise InvalidArgument(f"explain: {word!r} is not one of {', '.join(_FORMS)}")
    return _FORMS[word]()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a plan."""

    step: str
    name: str
    sentence: str
    man: str
    applies: bool
    only: str
    """When it applies; empty: always."""
    without: str
    """What is lost when it is left out; empty: it cannot be."""


def plan_text(lines: Iterable[Line]) -> str:
    """What would be done, and what would not, with the reason; what --without can leave out is marked so."""
    return "".join(_plan_line(line) + "\n" for line in lines)


def _plan_line(line: Line) -> str:
    if line.applies:
        return head(line.step, line.name, line.sentence, line.man) + ("  {--without}" if line.without else "")
    return f"{line.step:>4} {line.name:26} -- not here: only {line.only or 'where it is needed'}"
