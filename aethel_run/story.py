"""A story: what was done to make a container, each step and each of its system calls, as it happens.

Parent and init tell it to one descriptor, one line an event and one write a line, so that the order of the lines is the
order of the events. Each event names its step: `M3` the third act of the parent (the monitor, or the command), `I7` the
seventh step of init, `D1` the first act of the daemon. Stored as JSON lines; `explain` makes text of it.

    with listening(Teller(fd, "json", encode, places)):
        act_or_step()

Nobody listens as a rule; then `telling()` is None, and one look at it is all that an act pays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Generic, ParamSpec, TypeVar

import msgspec

from aethel_common.errors import AethelError, StepFailed
from aethel_common.linux.trace import Record, trace
from aethel_run.spec.config import Spec

P = ParamSpec("P")
T = TypeVar("T")

_UNTOLD: Final = "?"
"""The place of what no plan lists."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower, omit_defaults=True):
    """Base of all: `step` is its place in the plan, `at` when it began, in nanoseconds since the Unix epoch."""

    step: str
    at: int


class Step(Event, frozen=True, kw_only=True):
    """A step begins."""

    name: str
    sentence: str
    man: str


class Call(Event, frozen=True, kw_only=True):
    """A system call has returned (or, for execve, is about to happen: then `result` is None)."""

    name: str
    arguments: tuple[str, ...]
    result: int | None
    errno: str = ""
    took: int
    """Nanoseconds."""


class Failed(Event, frozen=True, kw_only=True):
    """The step failed; unless it was one whose failure is not the end, the story ends here."""

    name: str
    text: str
    errno: int = 0


class Omitted(Event, frozen=True, kw_only=True):
    """The step was left out, as `--without` asked for."""

    name: str
    sentence: str


AnyEvent = Step | Call | Failed | Omitted
Form = Callable[[AnyEvent], bytes]
"""What is written of an event."""

_encode = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[AnyEvent]] = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    """A line of JSON."""
    return _encode(event) + b"\n"


def decode(line: bytes) -> AnyEvent:
    """The event again. Raises msgspec.DecodeError."""
    return _decoder.decode(line)


class Teller:
    """Tells what happens in this process to a descriptor that stays the caller's."""

    def __init__(self, fd: int, word: str, form: Form, places: Mapping[str, str]) -> None:
        """`word`: what the form is called; `places`: of each step and act by its name, `M3`."""
        self.fd = fd
        self.word = word
        self._form = form
        self._places = places
        self._step = ""
        self._gone = False

    def step(self, name: str, sentence: str, man: str) -> str:
        """A step begins; what is told from now on belongs to it. Returns the place of the one before."""
        before, self._step = self._step, self._places.get(name, _UNTOLD)
        self._tell(Step(step=self._step, at=time.time_ns(), name=name, sentence=sentence, man=man))
        return before

    def back(self, step: str) -> None:
        """The step inside another has ended."""
        self._step = step

    def omitted(self, name: str, sentence: str) -> None:
        """A step is left out."""
        place = self._places.get(name, _UNTOLD)
        self._tell(Omitted(step=place, at=time.time_ns(), name=name, sentence=sentence))

    def failed(self, name: str, error: Exception) -> None:
        """The step that is told of failed."""
        cause = error if isinstance(error, OSError | StepFailed) else error.__cause__
        number = cause.errno if isinstance(cause, OSError | StepFailed) else 0
        self._tell(Failed(step=self._step, at=time.time_ns(), name=name, text=_reason(error), errno=number or 0))

    def call(self, record: Record) -> None:
        """For `trace.sink`: a call of the step that is told of."""
        if not self._step:
            return  # what is done between the steps is no part of them
        self._tell(
            Call(
                step=self._step,
                at=time.time_ns() - record.took_ns,
                name=record.name,
                arguments=record.arguments,
                result=record.result,
                errno=record.errno_name,
                took=record.took_ns,
            )
        )

    def _tell(self, event: AnyEvent) -> None:
        if self._gone:
            return
        try:
            os.write(self.fd, self._form(event))
        except OSError:
            # Who listened has gone: that must not stop the work. Nor may a later line, which SIGPIPE would turn into
            # the end once init has given signals their default actions.
            self._gone = True


def _reason(error: Exception) -> str:
    if isinstance(error, AethelError):
        return error.message
    if isinstance(error, OSError):
        return str(error).partition("] ")[2] or str(error)
    return f"internal error: {error!r}"


_listener: Final[ContextVar[Teller | None]] = ContextVar("story", default=None)


def telling() -> Teller | None:
    """Who tells of what happens here and now, if anybody does."""
    return _listener.get()


@contextmanager
def listening(teller: Teller | None, *, calls: bool = True) -> Iterator[None]:
    """Have `teller` tell of everything within the block. With `calls` only in a process with one thread."""
    token = _listener.set(teller)
    before = trace.sink
    if calls:
        trace.sink = teller.call if teller is not None else None
    try:
        yield
    finally:
        trace.sink = before
        _listener.reset(token)


def listen(teller: Teller | None) -> None:
    """From now on, in a process with one thread."""
    _listener.set(teller)
    trace.sink = teller.call if teller is not None else None


def sentence_of(function: Callable[..., object]) -> str:
    """The first line of its docstring: what the story says that it does."""
    return (function.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Act(Generic[P, T]):
    """What the parent of init does: a function that tells of itself. Name and sentence are the function's own."""

    run: Callable[P, T]
    man: str
    applies: Callable[[Spec], bool]
    only: str
    """When it applies, in a few words; empty: always."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.run.__name__.lstrip("_")

    @property
    def sentence(self) -> str:
        """The first line of its docstring."""
        return sentence_of(self.run)

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> T:
        """Do it, and tell of it if somebody listens."""
        teller = _listener.get()
        if teller is None:
            return self.run(*arguments, **options)
        before = teller.step(self.name, self.sentence, self.man)
        try:
            return self.run(*arguments, **options)
        except Exception as error:
            teller.failed(self.name, error)
            raise
        finally:
            teller.back(before)


def act(
    *, man: str, when: Callable[[Spec], bool] = lambda spec: True, only: str = ""
) -> Callable[[Callable[P, T]], Act[P, T]]:
    """Make a function an act; `man` names the pages that explain it, `only` says in words what `when` asks."""
    return lambda function: Act(run=function, man=man, applies=when, only=only)
