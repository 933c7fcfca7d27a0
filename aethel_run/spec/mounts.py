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
    """Of the mount itself; recursive words count here too, the later one wins."""
    recursive_set: MountAttr = _NO_ATTR
    recursive_clr: MountAttr = _NO_ATTR
    """Of it and all below."""
    bind: bool = False
    recursive: bool = False
    propagation: list[tuple[MountFlags, bool]] = field(default_factory=list)
    """In order; with each whether all below is meant too."""
    remount: bool = False
    super_words: list[str] = field(default_factory=list)
    """Flags of the file system as a whole, which fsconfig(2) knows by the same names; see SUPER_WORDS."""
    super_flags: MountFlags = _NO_FLAG
    """Of the file system as a whole, and only settable by mount(2)."""
    copy_up: bool = False
    """A tmpfs begins with what the image has in its place."""
    idmap: bool = False
    idmap_recursive: bool = False
    data: list[tuple[str, str | None]] = field(default_factory=list)
    """Options of the file system itself: key, and value if it has one."""

    @property
    def needs_source(self) -> bool:
        """Whether something of the host is bound in."""
        return self.bind and not self.remount


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
_ATIME: Final = {"noatime": _A.NOATIME, "strictatime": _A.STRICTATIME, "relatime": _A(0)}
_NO_ATIME: Final = {"atime": _A.NOATIME, "nostrictatime": _A.STRICTATIME, "norelatime": _A(0)}
"""What takes one of them back, and only that: relatime, the kernel's own choice, is what is left."""
_PROPAGATION: Final = {
    "private": MountFlags.PRIVATE,
    "slave": MountFlags.SLAVE,
    "shared": MountFlags.SHARED,
    "unbindable": MountFlags.UNBINDABLE,
}
SUPER_WORDS: Final = {
    "sync": (MountFlags.SYNCHRONOUS, True),
    "async": (MountFlags.SYNCHRONOUS, False),
    "dirsync": (MountFlags.DIRSYNC, True),
    "lazytime": (MountFlags.LAZYTIME, True),
    "nolazytime": (MountFlags.LAZYTIME, False),
    "mand": (MountFlags.MANDLOCK, True),
    "nomand": (MountFlags.MANDLOCK, False),
}
"""The flag of mount(2) for each, and whether the word sets it."""
_CLASSIC: Final = {
    "silent": (MountFlags.SILENT, True),
    "loud": (MountFlags.SILENT, False),
    "iversion": (MountFlags.I_VERSION, True),
    "noiversion": (MountFlags.I_VERSION, False),
}
_ATTRIBUTES: Final = frozenset({*_SET, *_CLEAR, *_ATIME, *_NO_ATIME})
_NOTHING: Final = frozenset({"defaults", ""})
"""What already holds when nothing is said; the empty word is what a stray comma leaves."""

OPTION_WORDS: Final = tuple(
    sorted(
        {
            *_ATTRIBUTES,
            *_PROPAGATION,
            *SUPER_WORDS,
            *_CLASSIC,
            *(f"r{word}" for words in (_ATTRIBUTES, _PROPAGATION) for word in words),
            *("defaults", "bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"),
        }
    )
)
"""Every word that has a meaning of its own here, for `features`."""


def is_bind(mount: Mount) -> bool:
    """config.md#mounts: by its options; by its type too, as callers have it."""
    return mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options


def meaning(mount: Mount) -> Meaning:
    """Sort the option words; one that is not known is the file system's own. A bind has no file system to tell."""
    words = Meaning(bind=is_bind(mount))
    for word in mount.options:
        if not (_special(word, words) or _attribute(word, words)):
            words.data.extend(_data(word))
    if mount.uid_mappings and not words.idmap:
        words.idmap = True
    if words.bind:
        words.data, words.super_words, words.super_flags = [], [], _NO_FLAG
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
            words.idmap, words.idmap_recursive = True, words.idmap_recursive or word == "ridmap"
        case _ if plain in _PROPAGATION:
            words.propagation.append((_PROPAGATION[plain], word != plain))
        case _ if word in SUPER_WORDS:
            words.super_words.append(word)
        case _ if word in _CLASSIC:
            flag, wanted = _CLASSIC[word]
            words.super_flags = words.super_flags | flag if wanted else words.super_flags & ~flag
        case _:
            return word in _NOTHING
    return True


def _attribute(word: str, words: Meaning) -> bool:
    """Attributes of the mount, with `r` in front of it and all below; whether `word` is one."""
    plain = word
    if word not in _ATTRIBUTES:
        plain = word.removeprefix("r")
        if plain == word or plain not in _ATTRIBUTES:
            return False
        words.recursive_set, words.recursive_clr = _apply(plain, words.recursive_set, words.recursive_clr)
    words.attr_set, words.attr_clr = _apply(plain, words.attr_set, words.attr_clr)
    return True


def _apply(word: str, attr_set: MountAttr, attr_clr: MountAttr) -> tuple[MountAttr, MountAttr]:
    if word in _SET:
        return attr_set | _SET[word], attr_clr & ~_SET[word]
    if word in _CLEAR:
        return attr_set & ~_CLEAR[word], attr_clr | _CLEAR[word]
    if word in _ATIME:
        return (attr_set & ~_A.ATIME) | _ATIME[word], attr_clr | _A.ATIME
    taken_back = attr_set & _A.ATIME == _NO_ATIME[word]
    return attr_set & ~_A.ATIME if taken_back else attr_set, attr_clr | _A.ATIME


def _data(word: str) -> list[tuple[str, str | None]]:
    """One option of the file system, or several that a comma parts, as mount(2) would read them."""
    # Where something is quoted only the file system knows which comma parts: overlay's `\,`, SELinux's "c1,c2".
    parts = [word] if "\\" in word or '"' in word else [part for part in word.split(",") if part]
    return [_datum(part) for part in parts]


def _datum(word: str) -> tuple[str, str | None]:
    key, equals, value = word.partition("=")
    return (key, value) if equals else (key, None)
