"""A profile to a program. Pure: nothing here asks the kernel.

How a document is read, where the specification leaves it open (as libseccomp and runc do):

- A name that no architecture of the filter has is passed over; `Filter.unknown` tells those that nobody has.
- The machine's own architecture is always in the filter; those of other machines cannot occur on it.
- A rule whose action is the default's says nothing. `args` that name an index twice are one rule for each condition.
- For a call, the first rule without `args` decides, whatever rules with `args` there are. Without one it is the first
  in the document whose `args` all hold, and the default if there is none.
- On a 32-bit architecture the low halves of arguments and values are compared.
- A foreign architecture's call, and one of x32 in a filter without it, kills the process.
- i386 has the calls of sockets and System V IPC a second time, behind socketcall(2) and ipc(2), where a filter cannot
  see their arguments. A rule without `args` goes for both. Of rules with `args` those do that do not let the call through:
  what cannot be looked at is not allowed.
- Calls above the highest number that the profile names (in whatever rule) are newer than it. A profile that denies by
  default never meant them; to refuse them with its errno would make libraries give up where they would fall back to
  what was there before. They answer ENOSYS, as an older kernel would, unless the default lets calls through (ALLOW, LOG,
  TRACE). A profile that names no call gets no such answer: there is nothing to tell its age from.
"""

from __future__ import annotations

import errno
import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux.seccomp import FilterFlag, Return
from aethel_run.seccomp.arguments import test_all, test_any_equal
from aethel_run.seccomp.assembler import AT_LEAST, EQUAL, Instruction, Label, Program, pack
from aethel_run.seccomp.tables import (
    AUDIT_ARCH,
    IPC,
    IS_64_BIT,
    PRIVATE,
    SOCKETCALL,
    X32_BIT,
    architectures_of,
    known_names,
    numbers,
)
from aethel_run.spec.seccomp import Action, Architecture, Argument, Flag, Operator, Seccomp, Syscall

_NR: Final = 0
_ARCH: Final = 4
"""Offsets in struct seccomp_data."""

_MOST_INSTRUCTIONS: Final = 4096
"""The kernel's BPF_MAXINSNS."""

_NO_CALL: Final = 0xFFFFFFFF
"""-1: what a tracer puts in place of a number to have the call skipped; no call of x32 in spite of its bits."""

_RETURN: Final[Mapping[Action, Return]] = {
    Action.KILL: Return.KILL_THREAD,
    Action.KILL_PROCESS: Return.KILL_PROCESS,
    Action.KILL_THREAD: Return.KILL_THREAD,
    Action.TRAP: Return.TRAP,
    Action.ERRNO: Return.ERRNO,
    Action.TRACE: Return.TRACE,
    Action.ALLOW: Return.ALLOW,
    Action.LOG: Return.LOG,
    Action.NOTIFY: Return.USER_NOTIF,
}
_WITH_ERRNO: Final = (Action.ERRNO, Action.TRACE)
_LETS_THROUGH: Final = (Action.ALLOW, Action.LOG)
_NOT_REFUSED: Final = (Action.ALLOW, Action.LOG, Action.TRACE)

_FLAG: Final[Mapping[Flag, FilterFlag]] = {
    Flag.TSYNC: FilterFlag.TSYNC,
    Flag.LOG: FilterFlag.LOG,
    Flag.SPEC_ALLOW: FilterFlag.SPEC_ALLOW,
    Flag.WAIT_KILLABLE_RECV: FilterFlag.WAIT_KILLABLE_RECV,
}

Alternative = tuple[tuple[Argument, ...], int]
Decision = int | tuple[Alternative, ...]
"""What the filter answers, or what it answers when arguments hold, in order."""


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
    readings = {architecture: _read(seccomp, architecture) for architecture in architectures}
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


@dataclass(frozen=True, slots=True)
class _Reading:
    """The profile as it goes for one architecture."""

    architecture: Architecture
    exact: Mapping[int, Decision]
    ranges: Mapping[int, Decision]
    """For all other numbers: where a range begins, and what goes for it."""
    missing: frozenset[str]


def _read(seccomp: Seccomp, architecture: Architecture) -> _Reading:
    table, private = numbers(architecture), PRIVATE.get(architecture)
    default = _answer(seccomp.default_action, seccomp.default_errno_ret)
    whole: dict[int, Decision] = {}
    partly: dict[int, list[Alternative]] = {}
    missing: set[str] = set()
    newest = -1
    for rule in _rules(seccomp, architecture):
        answer = _answer(rule.action, rule.errno_ret)
        found = [table[name] for name in rule.names if name in table]
        if len(found) < len(rule.names):
            missing.update(set(rule.names).difference(table))
        shared = [number for number in found if number not in private] if private else found
        newest = max(newest, max(shared, default=-1))
        if answer == default:
            continue
        if not rule.args:
            for number in found:
                whole.setdefault(number, answer)
            continue
        for number in found:
            partly.setdefault(number, []).extend((args, answer) for args in _each(rule.args))
    exact = {number: tuple(alternatives) for number, alternatives in partly.items()} | whole
    return _Reading(architecture, exact, _ranges(seccomp, architecture, newest), frozenset(missing))


def _rules(seccomp: Seccomp, architecture: Architecture) -> Iterator[Syscall]:
    """The profile's rules; for i386 also what they mean for socketcall and ipc, unless the profile speaks of these."""
    if architecture is not Architecture.X86:
        yield from seccomp.syscalls
        return
    named = {name for rule in seccomp.syscalls for name in rule.names}
    multiplexers = [(name, calls) for name, calls in (("socketcall", SOCKETCALL), ("ipc", IPC)) if name not in named]
    for rule in seccomp.syscalls:
        yield rule
        if rule.args and rule.action in _LETS_THROUGH:
            continue
        for multiplexer, calls in multiplexers:
            for name in rule.names:
                if name in calls:
                    yield _behind(multiplexer, calls[name], rule)


def _behind(multiplexer: str, number: int, rule: Syscall) -> Syscall:
    # The upper half of ipc's number is a version.
    argument = Argument(index=0, op=Operator.MASKED_EQ, value=0xFFFF, value_two=number)
    return Syscall(names=(multiplexer,), action=rule.action, errno_ret=rule.errno_ret, args=(argument,))


def _each(args: tuple[Argument, ...]) -> Sequence[tuple[Argument, ...]]:
    """The alternatives that a rule's arguments stand for: one, but with an index that is there twice each its own."""
    if len({argument.index for argument in args}) == len(args):
        return (args,)
    return [(argument,) for argument in args]


def _answer(action: Action, number: int | None) -> int:
    if action not in _WITH_ERRNO:
        return int(_RETURN[action])
    return _RETURN[action] | (errno.EPERM if number is None else number)


def _ranges(seccomp: Seccomp, architecture: Architecture, newest: int) -> Mapping[int, Decision]:
    default = _answer(seccomp.default_action, seccomp.default_errno_ret)
    ranges: dict[int, Decision] = {X32_BIT if architecture is Architecture.X32 else 0: default}
    if newest >= 0 and seccomp.default_action not in _NOT_REFUSED:
        newer = Return.ERRNO | errno.ENOSYS
        ranges[newest + 1] = newer
        private = PRIVATE.get(architecture)
        if private and newest < private.start:
            ranges |= {private.start: default, private.stop: newer}
    return ranges


class _Tree:
    """The search for a number of one architecture."""

    def __init__(self, program: Program, readings: Mapping[Architecture, _Reading], architecture: Architecture) -> None:
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


def _unknown(readings: Iterable[_Reading]) -> tuple[str, ...]:
    missing = frozenset.intersection(*(reading.missing for reading in readings))
    return tuple(sorted(missing - known_names()))
