"""A step: a function, with where to read about it and when it applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aethel_run import story
from aethel_run.init.context import Init

Action = Callable[[Init], None]
Condition = Callable[[Init], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """Name and sentence are the function's own, so they cannot drift from what it does."""

    run: Action
    man: str
    applies: Condition
    only: str
    """When it applies, in a few words that go on after "only"; empty: always."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.run.__name__

    @property
    def sentence(self) -> str:
        """The first line of its docstring."""
        return story.sentence_of(self.run)


def step(*, man: str, when: Condition = lambda init: True, only: str = "") -> Callable[[Action], Step]:
    """Make a function a step; `man` names the pages that explain it, `only` says in words what `when` asks."""
    return lambda action: Step(run=action, man=man, applies=when, only=only)


def applicable(steps: Iterable[Step], init: Init) -> list[Step]:
    """Those that this container needs, in order."""
    return [each for each in steps if each.applies(init)]


class Failure(Exception):
    """A step failed: which, and why."""

    def __init__(self, failed: Step, cause: Exception) -> None:
        super().__init__(failed.name)
        self.step = failed
        self.cause = cause


def run_steps(steps: Iterable[Step], init: Init) -> None:
    """Run what applies and is not to be left out, and tell of it. The first that fails ends it with Failure."""
    teller = story.telling()
    for each in applicable(steps, init):
        if each.name in init.without:
            if teller is not None:
                teller.omitted(each.name, each.sentence)
            continue
        if teller is not None:
            teller.step(each.name, each.sentence, each.man)
        try:
            each.run(init)
        except Exception as error:
            if teller is not None:
                teller.failed(each.name, error)
            raise Failure(each, error) from error
