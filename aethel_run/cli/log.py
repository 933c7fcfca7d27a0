"""Log lines as callers of a runtime read them: text or JSON, each with level, msg and time. runc's --log-format"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime


class Formatter(logging.Formatter):
    """One line a record."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        stamp = datetime.now().astimezone().isoformat(timespec="seconds")
        message = record.getMessage()
        if self._as_json:
            return json.dumps({"level": level, "msg": message, "time": stamp})
        return f'time="{stamp}" level={level} msg={json.dumps(message, ensure_ascii=False)}'


def to(path: str, *, as_json: bool, debug: bool) -> None:
    """Log to a file that is appended to, or to stderr. Raises OSError."""
    handler: logging.Handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(as_json=as_json))
    root = logging.getLogger("aethel_run")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
