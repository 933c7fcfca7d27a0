"""Log lines as callers of a runtime read them: text or JSON, each with level, msg and time. runc's --log-format

Not by `logging`, which costs this command some milliseconds at each start and brings threads along.
"""

from __future__ import annotations

import json
import os
import sys
import time


class Log:
    """Appends to a file, or writes to stderr."""

    def __init__(self, path: str, *, as_json: bool, debug: bool) -> None:
        """Raises OSError when the file cannot be opened."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644) if path else 2
        self._to_file = bool(path)
        self._as_json = as_json
        self._debug = debug

    def error(self, message: str) -> None:
        """What ends the command: in the log, and for people on stderr too."""
        self._write("error", message)
        if self._to_file:
            print(f"aethel-run: {message}", file=sys.stderr)

    def warning(self, message: str) -> None:
        """What is strange, and goes on."""
        self._write("warning", message)

    def debug(self, message: str) -> None:
        """Only when asked for."""
        if self._debug:
            self._write("debug", message)

    def _write(self, level: str, message: str) -> None:
        stamp = _now()
        if self._as_json:
            line = json.dumps({"level": level, "msg": message, "time": stamp})
        else:
            line = f'time="{stamp}" level={level} msg={json.dumps(message, ensure_ascii=False)}'
        os.write(self._fd, line.encode(errors="surrogateescape") + b"\n")


def _now() -> str:
    """RFC 3339 in the local time zone."""
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return f"{text[:-2]}:{text[-2:]}"
