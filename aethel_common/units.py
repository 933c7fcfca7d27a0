"""Sizes as people write them."""

from __future__ import annotations

import re
from typing import Final

from aethel_common.errors import InvalidArgument

_SIZE: Final = re.compile(r"([0-9]{1,18})(\.[0-9]{1,6})?([bkmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_bytes(text: str, what: str) -> int:
    """`64m`, `1.5g`, `512kb`, `1024`: powers of 1024, as users of containers know them.

    Raises InvalidArgument, which begins with `what`.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"{what}: {text!r} is not a size", hint="a number, then b, k, m or g if you like")
    scale = 1 << 10 * _POWERS[match[3].lower()]
    fraction = match[2] or ".0"
    size: int = int(match[1]) * scale + int(fraction[1:]) * scale // 10 ** (len(fraction) - 1)
    if size >= 2**63:
        raise InvalidArgument(f"{what}: {text!r} is more than there is")
    return size
