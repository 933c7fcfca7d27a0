"""Digests such as sha256:e3b0c442... image-spec descriptor.md#digests"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from aethel_common.errors import Corrupt

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def check(digest: str) -> str:
    """Return it, or raise Corrupt: it becomes part of a path (CVE-2024-3727)."""
    if not _DIGEST.fullmatch(digest):
        raise Corrupt(f"{digest[:100]!r} is not a sha256 digest")
    return digest


def encoded(digest: str) -> str:
    """The hexadecimal part."""
    return check(digest).removeprefix("sha256:")


def of(data: bytes) -> str:
    """The digest of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
