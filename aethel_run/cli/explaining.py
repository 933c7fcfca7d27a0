"""`--explain`: tell on stderr what is done, while it is done."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


def add_explain(parser: argparse.ArgumentParser) -> None:
    """The option, whose value is optional: parse `valued` words."""
    parser.add_argument(
        "--explain",
        choices=("text", "json"),
        default="",
        metavar="text|json",
        help="tell every step and system call on stderr (text)",
    )


def valued(words: Sequence[str]) -> list[str]:
    """A bare `--explain` means text; the word behind it is not its value."""
    return ["--explain=text" if word == "--explain" else word for word in words]


@contextmanager
def explaining(word: str) -> Iterator[None]:
    """Tell, in the form of that name; the empty word: do not. Costs no import then."""
    if not word:
        yield
        return
    from aethel_run import explain, story
    from aethel_run.lifecycle import plan

    # A copy: stderr itself becomes the program's.
    fd = os.dup(2)
    try:
        with story.listening(story.Teller(fd, word, explain.form(word), plan.places(plan.RUNTIME))):
            yield
    finally:
        os.close(fd)
