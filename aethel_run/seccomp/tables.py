"""The architectures that a filter can tell apart here, and their system calls by name."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

from aethel_common.errors import Unsupported
from aethel_run.seccomp import numbers as texts
from aethel_run.spec.seccomp import Architecture

AUDIT_ARCH: Final[Mapping[Architecture, int]] = {
    Architecture.X86_64: 0xC000003E,
    Architecture.X86: 0x40000003,
    Architecture.AARCH64: 0xC00000B7,
    Architecture.ARM: 0x40000028,
}
"""What the kernel calls them, linux/audit.h. X32 is X86_64 to it, with a bit set in the number."""

X32_BIT: Final = 0x40000000

IS_64_BIT: Final = frozenset({Architecture.X86_64, Architecture.X32, Architecture.AARCH64})
"""Whose arguments have 64 bits."""

PRIVATE: Final[Mapping[Architecture, range]] = {
    Architecture.X32: range(X32_BIT + 512, X32_BIT + 548),
    Architecture.ARM: range(0x0F0000, 0x100000),
}
"""Numbers of an architecture's own calls, above those that it shares with others: they say nothing about age."""

_OF_MACHINE: Final[Mapping[str, tuple[Architecture, ...]]] = {
    "x86_64": (Architecture.X86_64, Architecture.X86, Architecture.X32),
    "i686": (Architecture.X86,),
    "aarch64": (Architecture.AARCH64, Architecture.ARM),
    "armv7l": (Architecture.ARM,),
    "armv8l": (Architecture.ARM,),
}

_TEXT: Final[Mapping[Architecture, str]] = {
    Architecture.X86_64: texts.X86_64,
    Architecture.X86: texts.X86,
    Architecture.X32: texts.X86_64 + texts.X32,
    Architecture.AARCH64: texts.AARCH64,
    Architecture.ARM: texts.ARM,
}

SOCKETCALL: Final[Mapping[str, int]] = {
    name: number
    for number, name in enumerate(
        "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown"
        " setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg".split(),
        start=1,
    )
}
"""The calls that i386 also has as socketcall(NUMBER, ...), linux/net.h."""

IPC: Final[Mapping[str, int]] = {
    "semop": 1,
    "semget": 2,
    "semctl": 3,
    "semtimedop": 4,
    "msgsnd": 11,
    "msgrcv": 12,
    "msgget": 13,
    "msgctl": 14,
    "shmat": 21,
    "shmdt": 22,
    "shmget": 23,
    "shmctl": 24,
}
"""The calls that i386 also has as ipc(NUMBER, ...), linux/ipc.h."""


def architectures_of(machine: str) -> tuple[Architecture, ...]:
    """What a machine (`uname -m`) can run, its own first. Raises Unsupported for one without tables."""
    try:
        return _OF_MACHINE[machine]
    except KeyError:
        raise Unsupported(f"seccomp: the system calls of {machine} are not known here") from None


@functools.cache
def numbers(architecture: Architecture) -> Mapping[str, int]:
    """Name to number; X32 with its bit."""
    base = X32_BIT if architecture is Architecture.X32 else 0
    table = {}
    for text in (_TEXT[architecture], texts.COMMON):
        number = 0
        for word in text.split():
            if word.isdigit():
                number = int(word)
            else:
                table[word] = base + number
                number += 1
    return table


@functools.cache
def known_names() -> frozenset[str]:
    """The calls of all architectures."""
    return frozenset(name for architecture in _TEXT for name in numbers(architecture))
