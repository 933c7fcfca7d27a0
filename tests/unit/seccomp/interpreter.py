"""Runs a filter as the kernel would: classic BPF over struct seccomp_data. Refuses what the kernel's checker refuses."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from aethel_run.seccomp.assembler import (
    AND,
    ANY_BIT,
    AT_LEAST,
    EQUAL,
    GREATER,
    JUMP,
    LOAD,
    RETURN,
    Instruction,
)

NO_ARGUMENTS = (0, 0, 0, 0, 0, 0)
_JUMPS = {
    EQUAL: lambda a, k: a == k,
    GREATER: lambda a, k: a > k,
    AT_LEAST: lambda a, k: a >= k,
    ANY_BIT: lambda a, k: bool(a & k),
}


def check(program: Sequence[Instruction]) -> None:
    """What bpf_check_classic and seccomp_check_filter ask: known codes, jumps inside, a return at the end."""
    assert 0 < len(program) <= 4096
    assert program[-1].code == RETURN
    for index, (code, jt, jf, k) in enumerate(program):
        left = len(program) - index - 1
        assert max(jt, jf) <= 255, program[index]
        assert k <= 0xFFFFFFFF, program[index]
        assert min(jt, jf, k) >= 0, program[index]
        if code in _JUMPS:
            assert max(jt, jf) < left, program[index]
        elif code == JUMP:
            assert k < left, program[index]
        elif code == LOAD:
            assert k in range(0, 64, 4), program[index]
        else:
            assert code in (AND, RETURN), program[index]


def run(program: Sequence[Instruction], arch: int, number: int, args: Sequence[int] = NO_ARGUMENTS) -> tuple[int, int]:
    """The answer, and how many instructions it took."""
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, arch, 0, *args)
    at = steps = accumulator = 0
    while True:
        code, jt, jf, k = program[at]
        at += 1
        steps += 1
        if code == LOAD:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == AND:
            accumulator &= k
        elif code == JUMP:
            at += k
        elif code == RETURN:
            return k, steps
        else:
            at += jt if _JUMPS[code](accumulator, k) else jf


def decide(program: Sequence[Instruction], arch: int, number: int, args: Sequence[int] = NO_ARGUMENTS) -> int:
    """The answer."""
    return run(program, arch, number, args)[0]
