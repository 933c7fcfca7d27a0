"""Verbs that callers know and this runtime does not have: a clear answer is better than none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from aethel_common.errors import Unsupported
from aethel_run.cli.main import Globals


def checkpoint(common: Globals, words: Sequence[str]) -> NoReturn:
    """checkpoint ID"""
    raise Unsupported("checkpoint: this runtime cannot save a container's memory")


def restore(common: Globals, words: Sequence[str]) -> NoReturn:
    """restore ID"""
    raise Unsupported("restore: this runtime cannot save a container's memory, and so has no checkpoint to restore")
