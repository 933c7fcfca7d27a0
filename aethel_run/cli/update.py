"""update: change a container's limits."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aethel_common.errors import NotFound
from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.operations.update import update as change
from aethel_run.spec.load import decode_resources
from aethel_run.spec.resources import BlockIO, Cpu, Memory, Pids, Resources


def update(common: Globals, words: Sequence[str]) -> int:
    """update ID"""
    options = _parser().parse_args(words)
    change(arguments.find(common, options.id), _resources(options))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("update", "Change a container's limits; what is not named stays.")
    parser.add_argument("-r", "--resources", default="", metavar="FILE", help="a document; - for standard input")
    parser.add_argument("--blkio-weight", type=int, metavar="N", help="10 to 1000")
    parser.add_argument("--cpu-period", type=int, metavar="US", help="microseconds")
    parser.add_argument("--cpu-quota", type=int, metavar="US", help="microseconds of each period; -1: no limit")
    parser.add_argument("--cpu-burst", type=int, metavar="US", help="microseconds that may be saved up")
    parser.add_argument("--cpu-share", type=int, metavar="N", help="weight beside others")
    parser.add_argument("--cpu-idle", type=int, choices=(0, 1), help="1: only when nobody else wants it")
    parser.add_argument("--cpuset-cpus", default="", metavar="LIST", help="such as 0-3,7")
    parser.add_argument("--cpuset-mems", default="", metavar="LIST", help="memory nodes")
    parser.add_argument("--memory", type=int, metavar="BYTES", help="-1: no limit")
    parser.add_argument("--memory-reservation", type=int, metavar="BYTES")
    parser.add_argument("--memory-swap", type=int, metavar="BYTES", help="memory and swap together; -1: no limit")
    parser.add_argument("--pids-limit", type=int, metavar="N", help="-1: no limit")
    return parser


def _resources(options: argparse.Namespace) -> Resources:
    if options.resources:
        return decode_resources(_read(options.resources))
    return Resources(
        cpu=Cpu(
            shares=options.cpu_share,
            quota=options.cpu_quota,
            burst=options.cpu_burst,
            period=options.cpu_period,
            cpus=options.cpuset_cpus,
            mems=options.cpuset_mems,
            idle=options.cpu_idle,
        ),
        memory=Memory(limit=options.memory, reservation=options.memory_reservation, swap=options.memory_swap),
        pids=Pids(limit=options.pids_limit),
        block_io=BlockIO(weight=options.blkio_weight),
    )


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no such file: {name}") from None
