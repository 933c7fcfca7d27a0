"""C types that can be shown: structures by their fields, descriptors by what they are open on."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import ClassVar

from aethel_common.linux.trace import show


class c_fd(ctypes.c_int):  # noqa: N801 -- as the types of ctypes
    """The C type of an argument that is a descriptor."""


class Struct(ctypes.Structure):
    """A structure that is shown as its fields; those that are 0 are left out."""

    shown: ClassVar[tuple[tuple[str, Callable[[int], object]], ...]] = ()
    """What the number of a field means: a Flags class, Fd, ..."""

    @property
    def in_c(self) -> str:
        """`{flags=O_PATH|O_CLOEXEC, resolve=RESOLVE_IN_ROOT}`"""
        fields, meanings = [], dict(self.shown)
        for name, *_ in self._fields_:
            value = getattr(self, name)
            if value:
                fields.append(f"{name}={show(meanings.get(name, int)(value))}")
        return "{" + ", ".join(fields) + "}"
