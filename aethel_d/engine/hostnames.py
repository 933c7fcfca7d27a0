"""What may be a host name."""

from __future__ import annotations

import re

from aethel_common.errors import InvalidArgument

_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_MAX_LENGTH = 64
"""HOST_NAME_MAX of Linux, man 2 sethostname."""


def check(hostname: str) -> str:
    """Return it, or raise InvalidArgument: labels of letters, digits and `-` joined by dots, 64 characters in all."""
    if len(hostname) > _MAX_LENGTH or not all(_LABEL.fullmatch(label) for label in hostname.split(".")):
        raise InvalidArgument(f"bad host name {hostname!r}", hint="letters, digits, - and dots; at most 64 characters")
    return hostname
