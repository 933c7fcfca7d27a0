"""The base of every part of the document, and the kinds of number it uses."""

from __future__ import annotations

from typing import Annotated

import msgspec

Uint32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, msgspec.Meta(ge=0)]
"""msgspec's bounds end at 63 bits; who uses one sees to the last."""


class Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Unknown fields are ignored, wrong types refused with their JSON path."""
