"""Numbers that know what C calls them, so that a told call reads as the manual page writes it."""

from __future__ import annotations

import enum
from typing import Final

_PREFIXES: Final[dict[type, str]] = {}


class Flags(enum.IntFlag):
    """Bits; members are named as in C, without the prefix that the class is made with."""

    def __init_subclass__(cls, prefix: str = "", **others: object) -> None:
        super().__init_subclass__(**others)
        _PREFIXES[cls] = prefix

    @property
    def in_c(self) -> str:
        """`MS_NOSUID|MS_NODEV`; what has no name is a number, nothing at all the member for 0, or `0`."""
        left, names = int(self), []
        # What is several bits first: MOUNT_ATTR__ATIME is not three flags.
        for member in sorted(type(self).__members__.values(), key=lambda each: -int(each).bit_count()):
            if member and left & member == member:
                names.append(member)
                left &= ~int(member)
        words = [_PREFIXES[type(self)] + str(member.name) for member in sorted(names)]
        if left:
            words.append(hex(left))
        return "|".join(words) or self._nothing()

    def _nothing(self) -> str:
        zero = next((name for name, member in type(self).__members__.items() if not member), None)
        return "0" if zero is None else _PREFIXES[type(self)] + zero


class Number(enum.IntEnum):
    """One of several values; members are named as in C, without the prefix that the class is made with."""

    def __init_subclass__(cls, prefix: str = "", **others: object) -> None:
        super().__init_subclass__(**others)
        _PREFIXES[cls] = prefix

    @property
    def in_c(self) -> str:
        """`FSCONFIG_CMD_CREATE`"""
        return _PREFIXES[type(self)] + self.name
