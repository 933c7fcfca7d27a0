"""K=V, as labels, annotations and sysctls are written."""

from __future__ import annotations

from collections.abc import Iterable

from aethel_common.errors import InvalidArgument


def pairs(what: str, texts: Iterable[str], *, value_needed: bool = False) -> dict[str, str]:
    """Of one key the last counts. Raises InvalidArgument without a key, or without the value that is needed."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or (value_needed and not equals):
            raise InvalidArgument(f"bad {what} {text!r}", hint="K=V")
        found[key] = value
    return found
