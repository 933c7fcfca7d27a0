"""Text for people: tables, ages, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

_UNITS: Final = (
    ("year", 31536000),
    ("month", 2592000),
    ("week", 604800),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
)


def complain(problem: object) -> None:
    """One line on stderr, whatever is in it: what came from elsewhere must not speak to the terminal."""
    text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(problem))
    click.echo(f"aethel: {text}", err=True)


def age(nanoseconds: int) -> str:
    """`3 minutes`, `Less than a second`: the largest unit of which there is one."""
    seconds = max(nanoseconds, 0) // 1_000_000_000
    for name, length in _UNITS:
        if seconds >= length:
            return _count(seconds // length, name)
    return _count(seconds, "second") if seconds else "Less than a second"


def json(document: object, *, indent: int | None = None) -> str:
    """For programs."""
    from json import dumps  # a millisecond that most commands need not spend

    return dumps(document, indent=indent)


def size(count: int) -> str:
    """`4.1MB`: decimal units."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}TB"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns three spaces apart; one line a row."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows))
    return "".join(line.rstrip() + "\n" for line in lines)


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
