"""create, start, run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aethel_run.cli import arguments
from aethel_run.cli.explaining import add_explain, explaining, valued
from aethel_run.cli.main import Globals
from aethel_run.state import Store

if TYPE_CHECKING:
    from aethel_run.operations.create import Options


def create(common: Globals, words: Sequence[str]) -> int:
    """create ID --bundle DIR"""
    from aethel_run.operations.create import create as make

    parser = arguments.parser("create", "Make a container of a bundle, up to just before its program.")
    _add_options(parser)
    options = parser.parse_args(valued(words))
    bundle = Path(options.bundle).resolve()
    with explaining(options.explain):
        make(Store(common.root), options.id, bundle, _options(common, options), common.log.warning)
    return 0


def start(common: Globals, words: Sequence[str]) -> int:
    """start ID"""
    from aethel_run.operations.start import start as open_gate

    parser = arguments.parser("start", "Run the program of a created container.")
    add_explain(parser)
    options = parser.parse_args(valued(words))
    with explaining(options.explain):
        open_gate(arguments.find(common, options.id))
    return 0


def run(common: Globals, words: Sequence[str]) -> int:
    """run ID --bundle DIR"""
    from aethel_run.operations import run as running

    parser = arguments.parser("run", "Create and start a container; wait for it, return its status and delete it.")
    _add_options(parser)
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running")
    parser.add_argument("--keep", action="store_true", help="do not delete it when it has ended")
    parser.add_argument("--no-subreaper", action="store_true", help="do not take its orphans as ours")
    options = parser.parse_args(valued(words))
    with explaining(options.explain):
        return running.run(
            Store(common.root),
            options.id,
            Path(options.bundle).resolve(),
            _options(common, options),
            running.Manner(detach=options.detach, keep=options.keep, subreaper=not options.no_subreaper),
            common.log.warning,
        )


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-b", "--bundle", default=".", metavar="DIR", help="with config.json and the root; this one")
    parser.add_argument("--console-socket", default="", metavar="PATH", help="gets the terminal's master")
    parser.add_argument("--pid-file", default="", metavar="FILE", help="gets the pid")
    parser.add_argument("--pidfd-socket", default="", metavar="PATH", help="gets the pidfd")
    parser.add_argument("--no-new-keyring", action="store_true", help="keep the caller's session keyring")
    parser.add_argument("--preserve-fds", type=int, default=0, metavar="N", help="pass descriptors 3 to N+2 on")
    add_explain(parser)
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="STEP",
        help="leave one protection out, to see what it is for (explain says which can be)",
    )


def _options(common: Globals, options: argparse.Namespace) -> Options:
    from aethel_run.cgroup.managers.manager import Kind
    from aethel_run.operations.create import Options

    return Options(
        console_socket=options.console_socket,
        pid_file=options.pid_file,
        pidfd_socket=options.pidfd_socket,
        preserve_fds=options.preserve_fds,
        new_keyring=not options.no_new_keyring,
        without=tuple(options.without),
        cgroup_manager=Kind(common.cgroup_manager),
    )
