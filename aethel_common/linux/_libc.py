"""The one choke point: a C function called with declared types, its errno turned into an OSError that names the call."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Record:
    """One system call as it happened; `errno` 0 when it went well."""

    name: str
    arguments: tuple[object, ...]
    result: int
    errno: int


class _Trace:
    """Where each call is told; set by who wants the story of a set-up."""

    def __init__(self) -> None:
        self.sink: Callable[[Record], None] | None = None


trace: Final = _Trace()


class Syscall:
    """A libc function, or with `number` a raw system call (numbers from 424 on are the same on every architecture)."""

    def __init__(self, name: str, *argument_types: type, number: int | None = None) -> None:
        self._name = name
        if number is None:
            self._function = getattr(_LIBC, name)
            self._prefix: tuple[int, ...] = ()
            self._function.argtypes = argument_types
            # As declared in C: read as a long, the -1 of an int is 4294967295, and a failure passes for a success.
            self._function.restype = ctypes.c_int
        else:
            # A handle of its own: argument types are kept on the function object, and every raw call is `syscall`.
            self._function = ctypes.CDLL(None, use_errno=True).syscall
            self._prefix = (number,)
            self._function.argtypes = (ctypes.c_long, *argument_types)
            self._function.restype = ctypes.c_long

    def __call__(self, *arguments: object, about: str | bytes | None = None) -> int:
        """The result; OSError with the call's name and `about` (a path, usually) on failure. Repeats after EINTR."""
        while True:
            result = int(self._function(*self._prefix, *arguments))
            number = ctypes.get_errno() if result == -1 else 0
            if number != errno.EINTR:
                break
        if trace.sink is not None:
            trace.sink(Record(self._name, arguments, result, number))
        if number:
            name = os.fsdecode(about) if about is not None else None
            raise OSError(number, f"{self._name}(2): {os.strerror(number)}", name)
        return result


def text(value: str | None) -> bytes | None:
    """A C string, or NULL."""
    return None if value is None else os.fsencode(value)
