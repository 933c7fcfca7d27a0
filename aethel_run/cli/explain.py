"""explain BUNDLE: the steps that a bundle leads to."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.init.context import Init
from aethel_run.init.plan import SETUP_STEPS, START_STEPS
from aethel_run.init.step import applicable
from aethel_run.lifecycle.create import NOTHING_TO_RUN
from aethel_run.operations.create import read_document
from aethel_run.spec.load import decode
from aethel_run.spec.state import NOBODY


def explain(common: Globals, words: Sequence[str]) -> int:
    """explain BUNDLE"""
    parser = arguments.parser("explain", "Say, step by step, what would be done for a bundle.", container=False)
    parser.add_argument("bundle", nargs="?", default=".", help="this directory")
    options = parser.parse_args(words)
    spec = decode(read_document(Path(options.bundle)))
    process = spec.process or NOTHING_TO_RUN
    stdio = None if process.terminal else (0, 1, 2)
    with socket.socket() as nobody:
        init = Init(spec=spec, process=process, rootfs_fd=-1, sources={}, stdio=stdio, sync=nobody, state=NOBODY)
        for number, step in enumerate(applicable((*SETUP_STEPS, *START_STEPS), init), start=1):
            print(f"{number:2} {step.name:24} {step.sentence}  [{step.man}]")
    return 0
