"""Classic BPF, written from its end to its start. kernel Documentation/networking/filter.rst, man 2 seccomp

A jump leads forwards only, so whoever writes backwards has every target already and knows how far away it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

LOAD: Final = 0x20
"""A = the 32 bits at offset k of struct seccomp_data."""
AND: Final = 0x54
JUMP: Final = 0x05
"""On by k, which has 32 bits; the conditional ones go on by jt or jf, which have 8."""
EQUAL: Final = 0x15
GREATER: Final = 0x25
AT_LEAST: Final = 0x35
ANY_BIT: Final = 0x45
RETURN: Final = 0x06

_REACH: Final = 255
"""In labels, and with one to spare of what jt and jf hold: a bridge for the one may move the other away by one."""


class Instruction(NamedTuple):
    """struct sock_filter, linux/filter.h"""

    code: int
    jt: int
    jf: int
    k: int


Label = int
"""The number of instructions from a place to the end of the program, that place not counted."""

_pack: Final = struct.Struct("=HBBI").pack


def pack(instructions: Iterable[Instruction]) -> bytes:
    """As the kernel reads them."""
    return b"".join([_pack(*instruction) for instruction in instructions])


class Program:
    """A program that grows at its front; each method puts something there and returns its label."""

    def __init__(self) -> None:
        self._reversed: list[Instruction] = []
        self._returns: dict[int, Label] = {}
        self._bridges: dict[Label, Label] = {}

    def instructions(self) -> tuple[Instruction, ...]:
        """From the start on."""
        return tuple(reversed(self._reversed))

    def give(self, value: int) -> Label:
        """End with that value; the same one again is the same place."""
        label = self._returns.get(value)
        if label is None:
            label = self._returns[value] = self._put(RETURN, 0, 0, value)
        return label

    def load(self, offset: int, then: Label) -> Label:
        """Load a word of struct seccomp_data."""
        self._go_on_to(then)
        return self._put(LOAD, 0, 0, offset)

    def mask(self, bits: int, then: Label) -> Label:
        """Clear all other bits of what is loaded."""
        self._go_on_to(then)
        return self._put(AND, 0, 0, bits)

    def jump(self, test: int, k: int, yes: Label, no: Label) -> Label:
        """Go to `yes` if what is loaded passes the test against k, else to `no`."""
        if yes == no or (test == AT_LEAST and k == 0):
            return yes
        here = len(self._reversed)
        if here - yes > _REACH or here - no > _REACH:
            yes, no = self._near(yes), self._near(no)
            here = len(self._reversed)
        self._reversed.append(Instruction(test, here - yes - 1, here - no - 1, k))
        return here

    def behind_load(self, label: Label, offset: int) -> Label:
        """The same place without loading again what is loaded already."""
        instruction = self._reversed[label]
        return label - 1 if instruction.code == LOAD and instruction.k == offset else label

    def _near(self, label: Label) -> Label:
        """A label that the next jump reaches and that leads there."""
        here = len(self._reversed)
        if here - label <= _REACH:
            return label
        bridge = self._bridges.get(label)
        if bridge is None or here - bridge > _REACH:
            target = self._reversed[label]
            # A copy of an answer is as short as a jump to it.
            copied = target.code == RETURN
            bridge = self._put(*target) if copied else self._put(JUMP, 0, 0, here - label - 1)
            self._bridges[label] = bridge
        return bridge

    def _go_on_to(self, label: Label) -> None:
        """Have what is put next followed by that place."""
        if label != len(self._reversed) - 1:
            self._put(JUMP, 0, 0, len(self._reversed) - label - 1)

    def _put(self, code: int, jt: int, jf: int, k: int) -> Label:
        self._reversed.append(Instruction(code, jt, jf, k))
        return len(self._reversed) - 1
