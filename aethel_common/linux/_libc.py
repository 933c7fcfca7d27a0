"""The one choke point: a C function called with declared types, its errno turned into an OSError that names the call."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

from aethel_common.linux.structures import c_fd
from aethel_common.linux.trace import Fd, Record, hexadecimal, show, trace

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


_POINTED: Final[dict[type, Callable[[int], object]]] = {c_fd: Fd, ctypes.c_void_p: hexadecimal}
"""What a plain number means as an argument of that C type."""


class Syscall:
    """A libc function, or with `number` a raw system call (numbers from 424 on are the same on every architecture)."""

    def __init__(self, name: str, *argument_types: type, number: int | None = None, always: int | None = None) -> None:
        """`always`: of a call whose last arguments often mean nothing, so many are shown even when they are 0."""
        self._name = name
        self._types = argument_types
        self._always = len(argument_types) if always is None else always
        if number is None:
            # By subscript: an attribute would be one object, with one list of types, for all who ask for it.
            self._function = _LIBC[name]
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
        if trace.sink is not None:
            return self._told(arguments, about, trace.sink)
        result = int(self._function(*self._prefix, *arguments))
        if result == -1:
            number = ctypes.get_errno()
            if number == errno.EINTR:
                return self(*arguments, about=about)
            if number:
                raise self._error(number, about)
        return result

    def _told(self, arguments: tuple[object, ...], about: str | bytes | None, sink: Callable[[Record], None]) -> int:
        """The same, with a record of it."""
        # Before the call: a mount that is moved is shown where it was.
        shown = self._shown(arguments, (c_fd,))
        began = perf_counter_ns()
        result = int(self._function(*self._prefix, *arguments))
        number = ctypes.get_errno() if result == -1 else 0
        took = perf_counter_ns() - began
        # After it: a structure that the kernel has filled in.
        shown |= self._shown(arguments, tuple(set(self._types) - {c_fd}))
        sink(Record(self._name, tuple(shown[at] for at in range(self._count(arguments))), result, number, took))
        if number == errno.EINTR:
            return self(*arguments, about=about)
        if number:
            raise self._error(number, about)
        return result

    def _error(self, number: int, about: str | bytes | None) -> OSError:
        name = os.fsdecode(about) if about is not None else None
        return OSError(number, f"{self._name}(2): {os.strerror(number)}", name)

    def _shown(self, arguments: tuple[object, ...], types: tuple[type, ...]) -> dict[int, str]:
        """Those of some types, by their places."""
        return {
            index: show(_POINTED[kind](argument) if kind in _POINTED and type(argument) is int else argument)
            for index, (kind, argument) in enumerate(zip(self._types, arguments, strict=True))
            if kind in types
        }

    def _count(self, arguments: tuple[object, ...]) -> int:
        """How many are worth to be shown."""
        count = len(arguments)
        while count > self._always and arguments[count - 1] == 0:
            count -= 1
        return count


def text(value: str | None) -> bytes | None:
    """A C string, or NULL."""
    return None if value is None else os.fsencode(value)
