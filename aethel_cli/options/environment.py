"""--env and --env-file."""

from __future__ import annotations

import os
from collections.abc import Iterable

from aethel_common.errors import InvalidArgument


def environment(files: Iterable[str], entries: Iterable[str]) -> list[str]:
    """Files first, then flags; a bare name passes ours on, if it is set. Raises InvalidArgument."""
    lines: list[str] = []
    for name in files:
        try:
            with open(name) as file:
                text = file.read()
        except OSError as error:
            raise InvalidArgument(f"{name}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise InvalidArgument(f"{name}: not text") from None
        lines += [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    merged: list[str] = []
    for entry in (*lines, *entries):
        key, equals, _ = entry.partition("=")
        if not key:
            raise InvalidArgument(f"bad variable {entry!r}", hint="K=V, or K to pass ours on")
        if equals:
            merged.append(entry)
        elif key in os.environ:
            merged.append(f"{key}={os.environ[key]}")
    return merged
