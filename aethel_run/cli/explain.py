"""explain BUNDLE: the steps that a bundle leads to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from aethel_run import explain as text
from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.lifecycle import plan
from aethel_run.operations.create import read_document
from aethel_run.spec.load import decode


def explain(common: Globals, words: Sequence[str]) -> int:
    """explain BUNDLE"""
    parser = arguments.parser("explain", "Say, step by step, what would be done for a bundle.", container=False)
    parser.add_argument("bundle", nargs="?", default=".", help="this directory")
    parser.add_argument("--json", action="store_true", help="for programs: a list of steps")
    options = parser.parse_args(words)
    lines = plan.lines(plan.RUNTIME, decode(read_document(Path(options.bundle))))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(lines), indent=2).decode())
    else:
        print(text.plan_text(lines), end="")
    return 0
