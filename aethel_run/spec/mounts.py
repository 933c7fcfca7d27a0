"""`mounts` of config.json, and what their option words mean. config.md#mounts"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux.mounts import MountAttr, MountFlags
from aethel_run.spec.process import Document


class Mount(Document, frozen=True, kw_only=True):
    """One mount; their order is that of mounting."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Meaning:
    """Option words, sorted by who must be told: the mount, the file system, or propagation."""

    attr_set: MountAttr
    attr_clr: MountAttr
    recursive_set: MountAttr
    recursive_clr: MountAttr
    bind: bool
    recursive: bool
    propagation: MountFlags
    propagation_recursive: bool
    data: tuple[tuple[str, str | None], ...]
    """Options of the file system itself: key, and value if it has one."""


_A = MountAttr
_SET: Final = {
    "ro": _A.RDONLY,
    "nosuid": _A.NOSUID,
    "nodev": _A.NODEV,
    "noexec": _A.NOEXEC,
    "nodiratime": _A.NODIRATIME,
    "nosymfollow": _A.NOSYMFOLLOW,
}
_CLEAR: Final = {
    "rw": _A.RDONLY,
    "suid": _A.NOSUID,
    "dev": _A.NODEV,
    "exec": _A.NOEXEC,
    "diratime": _A.NODIRATIME,
    "symfollow": _A.NOSYMFOLLOW,
}
# The access time is a field of two bits: whatever is set, the old value must be cleared with it.
_ATIME: Final = {
    "noatime": _A.NOATIME,
    "strictatime": _A.STRICTATIME,
    "relatime": _A(0),
    "norelatime": _A(0),
    "atime": _A(0),
    "nostrictatime": _A(0),
}
_PROPAGATION: Final = {
    "private": MountFlags.PRIVATE,
    "slave": MountFlags.SLAVE,
    "shared": MountFlags.SHARED,
    "unbindable": MountFlags.UNBINDABLE,
}
_FILESYSTEM_FLAGS: Final = frozenset(
    {"sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand", "iversion", "noiversion", "silent", "loud"}
)
_REFUSED: Final = frozenset({"remount", "tmpcopyup", "idmap", "ridmap", "copy-symlink"})


def meaning(mount: Mount) -> Meaning:
    """Sort the option words. Raises InvalidSpec for one that is known and not supported yet; unknown ones are data."""
    attr_set, attr_clr = _A(0), _A(0)
    recursive_set, recursive_clr = _A(0), _A(0)
    propagation, propagation_recursive = MountFlags(0), False
    data: list[tuple[str, str | None]] = []
    for word in mount.options:
        plain = word[1:] if word.startswith("r") else ""
        if word in ("bind", "rbind", "defaults"):
            continue
        if word in _REFUSED:
            raise InvalidSpec(f"mounts: {mount.destination}: option {word!r} is not supported")
        if word in _SET or word in _CLEAR or word in _ATIME:
            attr_set, attr_clr = _apply(word, attr_set, attr_clr)
        elif word in _PROPAGATION or plain in _PROPAGATION:
            propagation, propagation_recursive = _PROPAGATION[plain or word], bool(plain)
        elif plain in _SET or plain in _CLEAR or plain in _ATIME:
            recursive_set, recursive_clr = _apply(plain, recursive_set, recursive_clr)
        else:
            data.append(_datum(word))
    return Meaning(
        attr_set=attr_set,
        attr_clr=attr_clr,
        recursive_set=recursive_set,
        recursive_clr=recursive_clr,
        bind=mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options,
        recursive="rbind" in mount.options,
        propagation=propagation,
        propagation_recursive=propagation_recursive,
        data=tuple(data),
    )


def _apply(word: str, attr_set: MountAttr, attr_clr: MountAttr) -> tuple[MountAttr, MountAttr]:
    if word in _SET:
        return attr_set | _SET[word], attr_clr & ~_SET[word]
    if word in _CLEAR:
        return attr_set & ~_CLEAR[word], attr_clr | _CLEAR[word]
    return (attr_set & ~_A.ATIME) | _ATIME[word], attr_clr | _A.ATIME


def _datum(word: str) -> tuple[str, str | None]:
    key, equals, value = word.partition("=")
    return (key, value) if equals and word not in _FILESYSTEM_FLAGS else (key, None)
