"""Each system call as it happens, told to whoever asked: what `--explain` is made of.

Nobody asks as a rule: `trace.sink` is None then, and one look at it is all that a call pays. Set it in a process with one
thread only; a forked child has it too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Final, NamedTuple, TypeVar

from aethel_common.linux.symbols import Flags, Number

T = TypeVar("T")

AT_FDCWD: Final = -100
_SHOWN_BYTES: Final = 120


class Fd(int):
    """A descriptor: shown with what it is open on."""

    __slots__ = ()


class Word(str):
    """Shown as it is, not as a C string."""

    __slots__ = ()


def hexadecimal(number: int) -> Word:
    """`0x1f`"""
    return Word(hex(number))


def octal(mode: int) -> Word:
    """`0755`"""
    return Word(f"0{mode:o}" if mode else "0")


class Record(NamedTuple):
    """One system call as it happened. `result` is None for one that does not return; `errno` 0 when it went well."""

    name: str
    arguments: tuple[str, ...]
    """As C has them."""
    result: int | None
    errno: int
    took_ns: int

    @property
    def errno_name(self) -> str:
        """`ENOENT`, or nothing."""
        return errno.errorcode.get(self.errno, str(self.errno)) if self.errno else ""


class _Trace:
    """Where each call is told."""

    def __init__(self) -> None:
        self.sink: Callable[[Record], None] | None = None


trace: Final = _Trace()


def told(name: str, arguments: Sequence[object], call: Callable[[], T], sink: Callable[[Record], None]) -> T:
    """Make a call that is not ours, and tell of it. Raises what it raises."""
    shown = tuple(show(argument) for argument in arguments)
    began = perf_counter_ns()
    try:
        result = call()
    except OSError as error:
        sink(Record(name, shown, -1, error.errno or 0, perf_counter_ns() - began))
        raise
    took = perf_counter_ns() - began
    # What is no plain number is the standard library's view of it: the call itself has returned 0.
    number = int(result) if isinstance(result, int) and type(result) is int else 0
    sink(Record(name, shown, number, 0, took))
    return result


def show(value: object) -> str:
    """One argument as C would have it."""
    if value is None:
        return "NULL"
    if isinstance(value, Flags | Number):
        return value.in_c
    if isinstance(value, Fd):
        return _show_fd(value)
    if isinstance(value, bytes):
        return _quoted(os.fsdecode(value))
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(show(each) for each in value) + "]"
    if isinstance(value, int):
        return str(int(value))
    pointed = getattr(value, "_obj", value)  # what ctypes.byref points to
    return str(getattr(pointed, "in_c", f"({type(pointed).__name__} *)"))


def _quoted(text: str) -> str:
    if isinstance(text, Word):
        return str(text)
    cut = text[:_SHOWN_BYTES]
    escaped = "".join(_escaped(character) for character in cut)
    return f'"{escaped}"' + ("..." if len(text) > _SHOWN_BYTES else "")


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return {"\n": "\\n", "\t": "\\t", "\0": "\\0"}.get(character, f"\\x{ord(character) & 0xFF:02x}")


def _show_fd(fd: int) -> str:
    """With what it is open on, where there is a /proc to ask; a detached mount is at "/"."""
    if fd == AT_FDCWD:
        return "AT_FDCWD"
    try:
        return f"{fd}<{os.readlink(f'/proc/self/fd/{fd}')}>"
    except OSError:
        return str(fd)
