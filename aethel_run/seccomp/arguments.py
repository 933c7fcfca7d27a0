"""Conditions on the arguments of a call, in BPF: they have 64 bits, a comparison has 32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aethel_run.seccomp.assembler import ANY_BIT, AT_LEAST, EQUAL, GREATER, Label, Program
from aethel_run.spec.seccomp import Argument, Operator

_ARGUMENTS: Final = 16
"""Offset of args[0] in struct seccomp_data; all architectures of `tables` keep the low half first."""
_WORD: Final = 0xFFFFFFFF

_OPPOSITE: Final[Mapping[Operator, Operator]] = {
    Operator.NE: Operator.EQ,
    Operator.LT: Operator.GE,
    Operator.LE: Operator.GT,
}


def test_all(program: Program, arguments: Sequence[Argument], *, wide: bool, yes: Label, no: Label) -> Label:
    """Go to `yes` when all of them hold; `wide` when both halves count."""
    for argument in reversed(arguments):
        yes = _test(program, argument, wide, yes, no)
    return yes


def test_any_equal(program: Program, arguments: Sequence[Argument], *, wide: bool, yes: Label, no: Label) -> Label:
    """Go to `yes` when one of them, EQ of the same argument with the same high half, holds: both halves loaded once."""
    low = _ARGUMENTS + 8 * arguments[0].index
    label = no
    for argument in reversed(arguments):
        label = program.jump(EQUAL, argument.value & _WORD, yes, label)
    label = program.load(low, label)
    return _word(program, low + 4, EQUAL, arguments[0].value >> 32, label, no) if wide else label


def _test(program: Program, argument: Argument, wide: bool, yes: Label, no: Label) -> Label:
    operator = argument.op
    if operator in _OPPOSITE:
        operator, yes, no = _OPPOSITE[operator], no, yes
    low = _ARGUMENTS + 8 * argument.index
    high = low + 4 if wide else None
    if operator is Operator.MASKED_EQ:
        return _masked(program, argument, low, high, yes, no)
    if operator is Operator.EQ:
        label = _word(program, low, EQUAL, argument.value & _WORD, yes, no)
        return label if high is None else _word(program, high, EQUAL, argument.value >> 32, label, no)
    test = AT_LEAST if operator is Operator.GE else GREATER
    label = _word(program, low, test, argument.value & _WORD, yes, no)
    return label if high is None else _high_decides(program, high, argument.value >> 32, label, yes, no)


def _word(program: Program, offset: int, test: int, value: int, yes: Label, no: Label) -> Label:
    label = program.jump(test, value, program.behind_load(yes, offset), program.behind_load(no, offset))
    return program.load(offset, label)


def _high_decides(program: Program, offset: int, value: int, low: Label, yes: Label, no: Label) -> Label:
    """Greater: yes; equal: the low half decides; else no."""
    label = program.jump(EQUAL, value, low, program.behind_load(no, offset))
    label = program.jump(GREATER, value, program.behind_load(yes, offset), label)
    return program.load(offset, label)


def _masked(program: Program, argument: Argument, low: int, high: int | None, yes: Label, no: Label) -> Label:
    mask, datum = argument.value, argument.value & argument.value_two
    label = _masked_word(program, low, mask & _WORD, datum & _WORD, yes, no)
    return label if high is None else _masked_word(program, high, mask >> 32, datum >> 32, label, no)


def _masked_word(program: Program, offset: int, mask: int, datum: int, yes: Label, no: Label) -> Label:
    if not mask:
        return yes
    if mask == _WORD:
        return _word(program, offset, EQUAL, datum, yes, no)
    if not datum:
        return _word(program, offset, ANY_BIT, mask, no, yes)
    label = program.mask(mask, program.jump(EQUAL, datum, yes, no))
    return program.load(offset, label)
