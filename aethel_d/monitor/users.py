"""`USER app:www` to numbers, from the text of the image's own files: never through NSS, which would load its libraries.

Files are opened inside the root (openat2 RESOLVE_IN_ROOT), must be regular and are read up to 1 MiB: an image may hold a
FIFO or gigabytes there (CVE-2024-9676). Numbers are taken strictly (CVE-2024-40635): digits only, 0 to 2**32 - 2.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import InvalidArgument
from aethel_common.linux import paths

_LIMIT: Final = 1024 * 1024
_MAX_ID: Final = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is inside the container."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """All supplementary groups, the primary one among them."""
    home: str


def resolve(user: str, root_fd: int) -> Identity:
    """Find `user` (name or uid, then optionally :group or :gid; empty: 0) in the root's passwd and group files.

    A uid without an entry has gid 0 and home `/`, as Docker does it. Supplementary groups come from the group file only
    when no group is given. Raises InvalidArgument for an unknown name or a number out of range.
    """
    wanted_user, colon, wanted_group = user.partition(":")
    if colon and not wanted_group:
        raise InvalidArgument(f"bad user {user!r}: nothing follows the colon")
    entry = _find(wanted_user or "0", _rows(root_fd, "/etc/passwd", 7), 2)
    name, uid, gid, home = _from_passwd(wanted_user or "0", entry)
    if wanted_group:
        gid = _group(wanted_group, root_fd)
        return Identity(uid, gid, (gid,), home)
    return Identity(uid, gid, (gid, *_memberships(name, gid, root_fd)), home)


def groups(wanted: Iterable[str], root_fd: int) -> tuple[int, ...]:
    """The ids of groups by name or number. Raises InvalidArgument for an unknown name or a number out of range."""
    return tuple(_group(each, root_fd) for each in wanted)


def _from_passwd(wanted: str, entry: list[str] | None) -> tuple[str | None, int, int, str]:
    if entry is not None:
        return entry[0], _number(entry[2]), _number(entry[3]), entry[5] or "/"
    if not _is_number(wanted):
        raise InvalidArgument(f"no such user in the image: {wanted!r}")
    return None, _number(wanted), 0, "/"


def _group(wanted: str, root_fd: int) -> int:
    entry = _find(wanted, _rows(root_fd, "/etc/group", 4), 2)
    if entry is not None:
        return _number(entry[2])
    if not _is_number(wanted):
        raise InvalidArgument(f"no such group in the image: {wanted!r}")
    return _number(wanted)


def _memberships(name: str | None, gid: int, root_fd: int) -> Iterator[int]:
    if name is None:
        return
    for row in _rows(root_fd, "/etc/group", 4):
        if name in row[3].split(",") and _is_number(row[2]) and int(row[2]) != gid:
            yield _number(row[2])


def _find(wanted: str, rows: Iterator[list[str]], id_column: int) -> list[str] | None:
    """The row with that name; for a number, the first row with that id."""
    number = _number(wanted) if _is_number(wanted) else None
    for row in rows:
        if row[0] == wanted or (number is not None and _is_number(row[id_column]) and int(row[id_column]) == number):
            return row
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str) -> int:
    if not _is_number(text) or len(text) > 10 or int(text) > _MAX_ID:
        raise InvalidArgument(f"user or group id out of range: {text!r}", hint=f"0 to {_MAX_ID}")
    return int(text)


def _rows(root_fd: int, path: str, columns: int) -> Iterator[list[str]]:
    for line in _text(root_fd, path).splitlines():
        row = line.split(":")
        if len(row) >= columns and not line.startswith("#"):
            yield row


def _text(root_fd: int, path: str) -> str:
    try:
        fd = paths.open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""  # an image without users, or with something else in that place: only numbers can be meant
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return file.read(_LIMIT).decode(errors="replace")
