"""`mounts` of config.json, and what their option words mean. config.md#mounts"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from aethel_common.linux.mounts import MountAttr, MountFlags
from aethel_run.spec.document import Document
from aethel_run.spec.linux import IdMapping


class Mount(Document, frozen=True, kw_only=True):
    """One mount; their order is that of mounting."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


_NO_ATTR: Final = MountAttr(0)
_NO_FLAG: Final = MountFlags(0)


@dataclass(slots=True)
class Meaning:
    """Option words, sorted by who must be told: the mount, the file system, or propagation."""

    attr_set: MountAttr = _NO_ATTR
    attr_clr: MountAttr = _NO_ATTR
    recursive_set: MountAttr = _NO_ATTR
    recursive_clr: MountAttr = _NO_ATTR
    bind: bool = False
    recursive: bool = False
    propagation: MountFlags = _NO_FLAG
    propagation_recursive: bool = False
    remount: bool = False
    super_flags: MountFlags = _NO_FLAG
    """Of the file system as a whole, and only settable by mount(2)."""
    copy_up: bool = False
    """A tmpfs begins with what the image has in its place."""
    idmap: bool = False
    idmap_recursive: bool = False
    data: list[tuple[str, str | None]] = field(default_factory=list)
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
_SUPER: Final = {"silent": MountFlags.SILENT, "iversion": MountFlags.I_VERSION}
_DEFAULTS: Final = frozenset({"defaults", "loud", "noiversion"})
"""What already holds when nothing is said."""

OPTION_WORDS: Final = tuple(
    sorted(
        {
            *_SET,
            *_CLEAR,
            *_ATIME,
            *_PROPAGATION,
            *_SUPER,
            *(f"r{word}" for words in (_SET, _CLEAR, _ATIME, _PROPAGATION) for word in words),
            *("defaults", "loud", "noiversion", "bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"),
            *("sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand"),
        }
    )
)
"""Every word that has a meaning of its own here, for `features`."""


def is_bind(mount: Mount) -> bool:
    """config.md#mounts: by its options; by its type too, as callers have it."""
    return mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options


def meaning(mount: Mount) -> Meaning:
    """Sort the option words; one that is not known is the file system's own."""
    words = Meaning(bind=is_bind(mount))
    for word in mount.options:
        if not (_special(word, words) or _attribute(word, words)):
            words.data.append(_datum(word))
    if mount.uid_mappings and not words.idmap:
        words.idmap = True
    return words


def _special(word: str, words: Meaning) -> bool:
    """Words that stand for themselves; whether `word` is one."""
    plain = word.removeprefix("r")
    match word:
        case "bind" | "rbind":
            words.recursive = words.recursive or word == "rbind"
        case "remount":
            words.remount = True
        case "tmpcopyup":
            words.copy_up = True
        case "idmap" | "ridmap":
            words.idmap, words.idmap_recursive = True, word == "ridmap"
        case _ if word in _PROPAGATION or plain in _PROPAGATION:
            words.propagation, words.propagation_recursive = _PROPAGATION[plain], word != plain
        case _ if word in _SUPER:
            words.super_flags |= _SUPER[word]
        case _:
            return word in _DEFAULTS
    return True


def _attribute(word: str, words: Meaning) -> bool:
    """Attributes of the mount, with `r` in front of it and all below; whether `word` is one."""
    if word in _SET or word in _CLEAR or word in _ATIME:
        words.attr_set, words.attr_clr = _apply(word, words.attr_set, words.attr_clr)
        return True
    plain = word[1:] if word.startswith("r") else ""
    if plain in _SET or plain in _CLEAR or plain in _ATIME:
        words.recursive_set, words.recursive_clr = _apply(plain, words.recursive_set, words.recursive_clr)
        return True
    return False


def _apply(word: str, attr_set: MountAttr, attr_clr: MountAttr) -> tuple[MountAttr, MountAttr]:
    if word in _SET:
        return attr_set | _SET[word], attr_clr & ~_SET[word]
    if word in _CLEAR:
        return attr_set & ~_CLEAR[word], attr_clr | _CLEAR[word]
    return (attr_set & ~_A.ATIME) | _ATIME[word], attr_clr | _A.ATIME


def _datum(word: str) -> tuple[str, str | None]:
    key, equals, value = word.partition("=")
    return (key, value) if equals else (key, None)
