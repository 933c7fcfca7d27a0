"""`linux.resources.unified`: files of cgroup v2 by their names. config-linux.md#unified"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_run.cgroup.files import Write

_FILE: Final = re.compile(r"[a-z]+\.[A-Za-z0-9_.-]+")
_NOT_LIMITS: Final = frozenset(
    f"cgroup.{name}" for name in ("procs", "threads", "type", "subtree_control", "controllers", "kill", "freeze")
)
"""These move, end or stop processes: other operations' work."""


def writes(files: Mapping[str, str]) -> Iterator[Write]:
    """A write for each line of each value. Raises InvalidSpec for a key that is not CONTROLLER.PARAMETER."""
    for file, text in files.items():
        if not _FILE.fullmatch(file):
            raise InvalidSpec(
                f"linux.resources.unified: {file!r} is not a file's name of the form CONTROLLER.PARAMETER"
            )
        if file in _NOT_LIMITS:
            raise InvalidSpec(f"linux.resources.unified: {file} is not a limit")
        for line in text.splitlines():
            if line.strip():
                yield Write(file, line)
