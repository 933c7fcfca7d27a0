"""logs: what a container wrote, from its log file; needs no monitor."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from aethel_common.linux import inotify
from aethel_common.linux.inotify import Watch
from aethel_d.engine import look
from aethel_d.engine.cancel import Cancel
from aethel_d.engine.context import Ending, Engine
from aethel_d.engine.model import LogLine, Status
from aethel_d.engine.wait import expecting

_CHUNK = 256 * 1024


def lines(engine: Engine, wanted: str, *, follow: bool, tail: int | None, cancel: Cancel) -> Iterator[LogLine]:
    """Records, oldest first; `tail` counts lines. With `follow`, until the container has ended or `cancel` is set."""
    container_id = engine.containers.find(wanted)
    path = engine.layout.container(container_id).log
    reader = _Reader(path)
    try:
        records = reader.new()
        yield from records if tail is None else _last(records, tail)
        if follow:
            with expecting(engine, container_id) as ending:
                yield from _follow(engine, container_id, reader, ending, cancel)
    finally:
        reader.close()


def _follow(engine: Engine, container_id: str, reader: _Reader, ending: Ending, cancel: Cancel) -> Iterator[LogLine]:
    if not reader.open():
        return  # never started: there is nothing to come yet
    watch_fd = inotify.watch(str(reader.path), Watch.MODIFY)
    poll = select.poll()
    for fd in (watch_fd, ending.done.fileno(), cancel.fileno()):
        poll.register(fd, select.POLLIN)
    try:
        while not cancel.is_set:
            # Looked at before the last reading: all was written before the end was told.
            running = look.view(engine, container_id).status is Status.RUNNING and not ending.done.is_set
            yield from reader.new()
            if not running:
                return
            poll.poll()
            inotify.clear(watch_fd)
    finally:
        os.close(watch_fd)


class _Reader:
    """Reads whole records from a file that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._rest = b""

    def open(self) -> bool:
        """Whether there is a file."""
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True

    def new(self) -> Iterator[LogLine]:
        """What has come since."""
        while self.open() and (data := os.read(self._fd, _CHUNK)):
            *records, self._rest = (self._rest + data).split(b"\n")
            for record in records:
                yield parse(record)

    def close(self) -> None:
        """Done."""
        if self._fd >= 0:
            os.close(self._fd)


def parse(record: bytes) -> LogLine:
    """`TIME stream F|P text`, see monitor/logfile.py."""
    stamp, stream, tag, text = record.split(b" ", 3)
    seconds = datetime.fromisoformat(stamp[:19].decode() + "+00:00").timestamp()
    time_ns = int(seconds) * 1_000_000_000 + int(stamp[20:29])
    return LogLine(data=text + b"\n" if tag == b"F" else text, is_stderr=stream == b"stderr", time_ns=time_ns)


def _last(records: Iterator[LogLine], count: int) -> Iterator[LogLine]:
    """The records of the last `count` lines: a line may be in several pieces."""
    kept: deque[list[LogLine]] = deque(maxlen=max(count, 0))
    piece: list[LogLine] = []
    for record in records:
        piece.append(record)
        if record.data.endswith(b"\n"):
            kept.append(piece)
            piece = []
    if piece and count > 0:
        kept.append(piece)
    for line in kept:
        yield from line
