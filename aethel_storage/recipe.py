"""What the kinds of recipe have in common: what they are given, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aethel_storage import tree

Progress = Callable[[str, int, int], None]
"""Called with a stage in a few words, and how much of how much is done (0: not known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kitchen:
    """Where a recipe is carried out."""

    notice: str
    """What the image must say of where it comes from."""
    machine: str
    """For which machine, as uname(2) says it."""
    sources: Path
    """What was fetched is kept here."""
    work: Path
    """An empty directory that is removed afterwards."""
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """An image before it is written."""

    files: list[tree.File]
    configuration: tree.Configuration
    architecture: str
    """As the image specification says it."""
    diff_id: str
    """What the layer must be; empty when the recipe does not pin it."""
