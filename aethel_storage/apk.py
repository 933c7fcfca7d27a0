"""The package database of Alpine: which file belongs to which package, its mode and its SHA-1. man 5 apk-package"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory of a package; `sha1` of a link is that of its target, of a directory None."""

    path: str
    mode: int
    uid: int
    gid: int
    sha1: bytes | None


def records(database: str, packages: Collection[str]) -> list[str]:
    """The records of those packages, in the database's order. Raises KeyError for one that is missing."""
    found = {_name(record): record for record in database.split("\n\n") if _name(record) in packages}
    missing = set(packages) - set(found)
    if missing:
        raise KeyError(", ".join(sorted(missing)))
    return list(found.values())


def entries(record: str) -> Iterator[Entry]:
    """All directories and files of a record."""
    directory, path = "", ""
    uid, gid, mode = 0, 0, 0o644
    for line in record.splitlines():
        key, _, value = line.partition(":")
        if key == "F":
            directory = value
            yield Entry(value, 0o755, 0, 0, None)
        elif key == "M":
            uid, gid, mode = _owner(value)
            yield Entry(directory, mode, uid, gid, None)
        elif key == "R":
            path = f"{directory}/{value}"
            uid, gid, mode = 0, 0, 0o644
        elif key == "a":
            uid, gid, mode = _owner(value)
        elif key == "Z":
            yield Entry(path, mode, uid, gid, base64.b64decode(value.removeprefix("Q1")))


def matches(entry: Entry, content: bytes) -> bool:
    """Whether that is what the package has there."""
    return hashlib.sha1(content, usedforsecurity=False).digest() == entry.sha1


def _owner(value: str) -> tuple[int, int, int]:
    uid, gid, mode = value.split(":")[:3]
    return int(uid), int(gid), int(mode, 8)


def _name(record: str) -> str:
    return next((line[2:] for line in record.splitlines() if line.startswith("P:")), "")
