"""`mounts` of config.json, and what their option words mean. config.md#mounts"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_common.linux.mounts import MountAttr, MountFlags
from aethel_run.spec.process import Document


class Mount(Document, frozen=True, kw_only=True):
    """One mount; their order is that of mounting."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()

    @property
    def is_bind(self) -> bool:
        """Whether it shows a part of the host's tree instead of a file system of its own."""
        return self.type == "bind" or "bind" in self.options or "rbind" in self.options


@dataclass(slots=True)
class Attributes:
    """Changes to the properties of a mount. man 2 mount_setattr"""

    set: MountAttr = MountAttr(0)
    clear: MountAttr = MountAttr(0)

    def __bool__(self) -> bool:
        return bool(self.set or self.clear)

    def apply(self, word: str) -> None:
        """Let a word count; of two that contradict each other the later one does."""
        if word in _SET:
            self.set, self.clear = self.set | _SET[word], self.clear & ~_SET[word]
        elif word in _CLEAR:
            self.set, self.clear = self.set & ~_CLEAR[word], self.clear | _CLEAR[word]
        else:
            # The access time is a field of two bits: whatever is set, the old value must be cleared with it.
            self.set, self.clear = (self.set & ~MountAttr.ATIME) | _ATIME[word], self.clear | MountAttr.ATIME


@dataclass(slots=True)
class Meaning:
    """Option words, sorted by who must be told."""

    own: Attributes = field(default_factory=Attributes)
    """For the mount itself."""
    recursive: Attributes = field(default_factory=Attributes)
    """For the mount and all below it."""
    with_submounts: bool = False
    """`rbind`: what is mounted below the source comes along."""
    propagation: MountFlags = MountFlags.PRIVATE
    """To and from the mount it was copied from. man 7 mount_namespaces"""
    propagation_recursive: bool = True
    filesystem: list[tuple[str, str | None]] = field(default_factory=list)
    """Options of the file system itself: key, and value if it has one. man 2 fsconfig"""


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
_ATIME: Final = {
    "noatime": _A.NOATIME,
    "strictatime": _A.STRICTATIME,
    "relatime": _A(0),
    "norelatime": _A(0),
    "atime": _A(0),
    "nostrictatime": _A(0),
}
_ATTRIBUTES: Final = frozenset({*_SET, *_CLEAR, *_ATIME})
_PROPAGATION: Final = {
    "private": MountFlags.PRIVATE,
    "slave": MountFlags.SLAVE,
    "shared": MountFlags.SHARED,
    "unbindable": MountFlags.UNBINDABLE,
}
_WITHOUT_EFFECT: Final = frozenset({"defaults", "bind", "loud", "silent"})
"""`bind` is told by the type already; the last two are about the kernel's log only."""
_NOT_BUILT: Final = frozenset({"remount", "tmpcopyup", "idmap", "ridmap"})


def meaning(mount: Mount, where: str = "mounts") -> Meaning:
    """Sort the option words; `where` is the JSON path of the mount, for the errors.

    Words that are not known are the file system's. Raises InvalidSpec for those on a bind mount, which has none of its
    own, and Unsupported for what the specification knows and this runtime does not.
    """
    result = Meaning()
    for word in mount.options:
        plain = word[1:] if word.startswith("r") else ""
        if word in _NOT_BUILT:
            raise Unsupported(f"{where}.options: {word!r} on {mount.destination} is not supported")
        if word == "rbind":
            result.with_submounts = True
        elif word in _ATTRIBUTES:
            result.own.apply(word)
        elif word in _PROPAGATION or plain in _PROPAGATION:
            result.propagation, result.propagation_recursive = _PROPAGATION[plain or word], bool(plain)
        elif plain in _ATTRIBUTES:
            result.recursive.apply(plain)
        elif word not in _WITHOUT_EFFECT:
            result.filesystem.append(_key_and_value(word))
    if mount.is_bind and result.filesystem:
        words = ", ".join(key for key, _ in result.filesystem)
        raise InvalidSpec(f"{where}.options: {words}: not an option of a bind mount ({mount.destination})")
    return result


def _key_and_value(word: str) -> tuple[str, str | None]:
    key, equals, value = word.partition("=")
    return key, value if equals else None
