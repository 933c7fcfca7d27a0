"""pause, resume."""

from __future__ import annotations

from collections.abc import Sequence

from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.operations import pause as pausing


def pause(common: Globals, words: Sequence[str]) -> int:
    """pause ID"""
    options = arguments.parser("pause", "Freeze all processes of a container.").parse_args(words)
    pausing.pause(arguments.find(common, options.id))
    return 0


def resume(common: Globals, words: Sequence[str]) -> int:
    """resume ID"""
    options = arguments.parser("resume", "Let a paused container go on.").parse_args(words)
    pausing.resume(arguments.find(common, options.id))
    return 0
