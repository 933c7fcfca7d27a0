"""A step: a function, with where to read about it and when it applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aethel_run.init.context import Init

Action = Callable[[Init], None]
Condition = Callable[[Init], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """Name and sentence are the function's own, so they cannot drift from what it does."""

    run: Action
    man: str
    applies: Condition

    @property
    def name(self) -> str:
        """The function's name."""
        return self.run.__name__

    @property
    def sentence(self) -> str:
        """The first line of its docstring."""
        return (self.run.__doc__ or "").partition("\n")[0]


def step(*, man: str, when: Condition = lambda init: True) -> Callable[[Action], Step]:
    """Make a function a step; `man` names the pages that explain it."""
    return lambda action: Step(run=action, man=man, applies=when)


def applicable(steps: Iterable[Step], init: Init) -> list[Step]:
    """Those that this container needs, in order."""
    return [each for each in steps if each.applies(init)]


class Failure(Exception):
    """A step failed: which, and why."""

    def __init__(self, failed: Step, cause: Exception) -> None:
        super().__init__(failed.name)
        self.step = failed
        self.cause = cause


def run_steps(steps: Iterable[Step], init: Init, announce: Callable[[Step], None] | None = None) -> None:
    """Run what applies, telling `announce` before each. The first that fails ends it with Failure."""
    for each in applicable(steps, init):
        if announce is not None:
            announce(each)
        try:
            each.run(init)
        except Exception as error:
            raise Failure(each, error) from error
