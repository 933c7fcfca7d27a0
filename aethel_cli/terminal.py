"""The caller's terminal: raw mode, its size, and the keys that detach."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aethel_common.errors import InvalidArgument

DETACH_KEYS: Final = "ctrl-p,ctrl-q"


def is_terminal() -> bool:
    """Whether both ends that a shell needs are one."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def size() -> tuple[int, int]:
    """Rows and columns."""
    columns, rows = os.get_terminal_size(1 if os.isatty(1) else 0)
    return rows, columns


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Every key goes to the container, while the block lasts. man 3 termios"""
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def parse_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` to the bytes they send; empty for none. Raises InvalidArgument."""
    keys = bytearray()
    for word in text.split(",") if text else ():
        letter = word.removeprefix("ctrl-")
        if len(letter) != 1 or not letter.isascii():
            raise InvalidArgument(f"bad detach key {word!r}", hint="a letter, or ctrl- and one of a-z @ [ \\ ] ^ _")
        if word == letter:
            keys.append(ord(letter))
        elif letter.lower() in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
            keys.append(ord(letter.upper()) & 0x1F)
        else:
            raise InvalidArgument(f"bad detach key {word!r}", hint="a letter, or ctrl- and one of a-z @ [ \\ ] ^ _")
    return bytes(keys)


class DetachKeys:
    """Finds the sequence in what is typed; a beginning of it is held back until the next key decides."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be passed on, and whether the sequence is complete."""
        if not self._keys:
            return data, False
        out = bytearray()
        for byte in data:
            self._held += bytes([byte])
            while self._held and not self._keys.startswith(self._held):
                out.append(self._held[0])
                self._held = self._held[1:]
            if self._held == self._keys:
                return bytes(out), True
        return bytes(out), False
