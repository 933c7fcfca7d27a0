"""events: a container's figures, a JSON line at a time."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from aethel_common.errors import InvalidArgument, WrongState
from aethel_run.cgroup import events as lines
from aethel_run.cgroup import stats
from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.state import Container
from aethel_run.status import Status


def events(common: Globals, words: Sequence[str]) -> int:
    """events ID"""
    parser = arguments.parser("events", "Show a container's figures, and when it runs out of memory.")
    parser.add_argument("--stats", action="store_true", help="the figures once")
    parser.add_argument("--interval", default="5s", metavar="TIME", help="between two figures: 5s, 200ms; 5s")
    options = parser.parse_args(words)
    container = arguments.find(common, options.id)
    if container.status is Status.STOPPED:
        raise WrongState("container not running")
    if options.stats:
        _print(_stats(container))
        return 0
    _follow(container, _seconds(options.interval))
    return 0


def _follow(container: Container, seconds: float) -> None:
    """Until it has stopped."""
    killed = container.cgroup is not None and container.cgroup.oom_killed()
    while container.status is not Status.STOPPED:
        _print(_stats(container))
        time.sleep(seconds)
        if not killed and container.cgroup is not None and container.cgroup.oom_killed():
            killed = True
            _print(lines.oom_line(container.id))


def _stats(container: Container) -> bytes:
    if container.cgroup is None:
        raise WrongState(f"container {container.id} has no cgroup, and so no figures")
    return lines.stats_line(container.id, stats.read(container.cgroup))


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()


def _seconds(text: str) -> float:
    for suffix, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        number = text.removesuffix(suffix)
        if number != text and number.replace(".", "", 1).isdigit() and float(number) > 0:
            return float(number) * factor
    raise InvalidArgument(f"--interval: {text!r} is not a time such as 5s or 200ms")
