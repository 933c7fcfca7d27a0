"""A profile to a program. Pure: nothing here asks the kernel. How a document is understood stands in `reading`.

The program looks at the architecture first, then for the number in a balanced tree over ranges of numbers that are
decided alike, then at the arguments where they matter.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux.seccomp import FilterFlag, Return
from aethel_run.seccomp.arguments import test_all, test_any_equal
from aethel_run.seccomp.assembler import AT_LEAST, EQUAL, Instruction, Label, Program, pack
from aethel_run.seccomp.reading import Alternative, Decision, Reading, read
from aethel_run.seccomp.tables import (
    AUDIT_ARCH,
    IS_64_BIT,
    X32_BIT,
    architectures_of,
    known_names,
)
from aethel_run.spec.seccomp import Action, Architecture, Flag, Operator, Seccomp

_NR: Final = 0
_ARCH: Final = 4
"""Offsets in struct seccomp_data."""

_MOST_INSTRUCTIONS: Final = 4096
"""The kernel's BPF_MAXINSNS."""

_NO_CALL: Final = 0xFFFFFFFF
"""-1: what a tracer puts in place of a number to have the call skipped; no call of x32 in spite of its bits."""

_FLAG: Final[Mapping[Flag, FilterFlag]] = {
    Flag.TSYNC: FilterFlag.TSYNC,
    Flag.LOG: FilterFlag.LOG,
    Flag.SPEC_ALLOW: FilterFlag.SPEC_ALLOW,
    Flag.WAIT_KILLABLE_RECV: FilterFlag.WAIT_KILLABLE_RECV,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What seccomp(2) takes, and what was passed over."""

    instructions: tuple[Instruction, ...]
    flags: FilterFlag
    unknown: tuple[str, ...]
    """Names in the profile that are system calls of no architecture known here: worth a warning."""

    @property
    def program(self) -> bytes:
        """An array of struct sock_filter."""
        return pack(self.instructions)


def compile_profile(seccomp: Seccomp, machine: str) -> Filter:
    """The filter for processes of a machine (`uname -m`).

    Raises Unsupported for a machine without tables, InvalidSpec for a profile that the kernel has no room for.
    """
    native, *others = architectures_of(machine)
    architectures = (native, *(other for other in others if other in seccomp.architectures))
    readings = {architecture: read(seccomp, architecture) for architecture in architectures}
    program = Program()
    label = program.give(Return.KILL_PROCESS)
    for architecture in reversed(architectures):
        if architecture is not Architecture.X32:
            entry = _Tree(program, readings, architecture).build()
            label = program.jump(EQUAL, AUDIT_ARCH[architecture], entry, label)
    program.load(_ARCH, label)
    instructions = program.instructions()
    if len(instructions) > _MOST_INSTRUCTIONS:
        raise InvalidSpec(f"linux.seccomp: {len(instructions)} instructions, the kernel takes {_MOST_INSTRUCTIONS}")
    return Filter(instructions, _flags(seccomp), _unknown(readings.values()))


class _Tree:
    """The search for a number of one architecture."""

    def __init__(self, program: Program, readings: Mapping[Architecture, Reading], architecture: Architecture) -> None:
        self._program = program
        self._wide = architecture in IS_64_BIT
        self._leaves: dict[Decision, Label] = {}
        exact, ranges = readings[architecture].exact, readings[architecture].ranges
        if architecture is Architecture.X86_64:
            x32 = readings.get(Architecture.X32)
            skipped = {_NO_CALL: ranges[max(ranges)]}
            exact = {**exact, **x32.exact} if x32 else exact
            ranges = {**ranges, **skipped, **(x32.ranges if x32 else {X32_BIT: int(Return.KILL_PROCESS)})}
        self._starts, self._decisions = _segments(exact, ranges)
        default = ranges[0]
        assert isinstance(default, int)
        self._default = default

    def build(self) -> Label:
        """A balanced tree over the segments."""
        count = len(self._starts)
        label = self._between(0, count)
        return label if count == 1 else self._program.load(_NR, label)

    def _between(self, first: int, last: int) -> Label:
        if last - first == 1:
            return self._leaf(self._decisions[first])
        starts, decisions = self._starts, self._decisions
        if (
            last - first == 3
            and decisions[first] == decisions[first + 2]
            and starts[first + 2] == starts[first + 1] + 1
        ):
            # A single number within a range: one comparison instead of two.
            label, single = self._leaf(decisions[first]), self._leaf(decisions[first + 1])
            return self._program.jump(EQUAL, starts[first + 1], single, label)
        middle = (first + last) // 2
        upper = self._between(middle, last)
        lower = self._between(first, middle)
        return self._program.jump(AT_LEAST, starts[middle], upper, lower)

    def _leaf(self, decision: Decision) -> Label:
        if isinstance(decision, int):
            return self._program.give(decision)
        label = self._leaves.get(decision)
        if label is None:
            label = self._leaves[decision] = self._alternatives(decision)
        return label

    def _alternatives(self, decision: tuple[Alternative, ...]) -> Label:
        program, wide = self._program, self._wide
        label = program.give(self._default)
        for (values, answer), group in itertools.groupby(reversed(decision), _equals):
            if values is None:
                for args, _ in group:
                    label = test_all(program, args, wide=wide, yes=program.give(answer), no=label)
            else:
                arguments = [args[0] for args, _ in group][::-1]
                label = test_any_equal(program, arguments, wide=wide, yes=program.give(answer), no=label)
        return label


def _equals(alternative: Alternative) -> tuple[tuple[int, int] | None, int]:
    """What alternatives share that differ in the value (its low half) that one argument is to have; and the answer."""
    args, answer = alternative
    if len(args) == 1 and args[0].op is Operator.EQ:
        return (args[0].index, args[0].value >> 32), answer
    return None, answer


def _segments(exact: Mapping[int, Decision], ranges: Mapping[int, Decision]) -> tuple[list[int], list[Decision]]:
    """Where each segment of numbers begins and what goes for it, other than for its neighbours."""
    points = dict(ranges)
    begins = sorted(ranges)
    for number in exact:
        after = number + 1
        if after not in exact and after not in points:
            points[after] = ranges[begins[bisect_right(begins, after) - 1]]
    points.update(exact)
    starts: list[int] = []
    decisions: list[Decision] = []
    last: Decision | None = None
    for start in sorted(points):
        decision = points[start]
        if decision != last:
            starts.append(start)
            decisions.append(decision)
            last = decision
    return starts, decisions


def _flags(seccomp: Seccomp) -> FilterFlag:
    flags = FilterFlag(0)
    for flag in seccomp.flags:
        flags |= _FLAG[flag]
    if any(rule.action is Action.NOTIFY for rule in seccomp.syscalls):
        flags |= FilterFlag.NEW_LISTENER
        if flags & FilterFlag.TSYNC:
            # A result cannot be both a listener and a thread that did not follow.
            flags |= FilterFlag.TSYNC_ESRCH
    return flags


def _unknown(readings: Iterable[Reading]) -> tuple[str, ...]:
    missing = frozenset.intersection(*(reading.missing for reading in readings))
    return tuple(sorted(missing - known_names()))
