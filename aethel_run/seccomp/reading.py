"""What a profile says of each call of an architecture.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aethel_common.linux.seccomp import Return
from aethel_run.seccomp.tables import IPC, PRIVATE, SOCKETCALL, X32_BIT, numbers
from aethel_run.spec.seccomp import Action, Architecture, Argument, Operator, Seccomp, Syscall

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

Alternative = tuple[tuple[Argument, ...], int]
Decision = int | tuple[Alternative, ...]
"""What the filter answers, or what it answers when arguments hold, in order."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The profile as it goes for one architecture."""

    exact: Mapping[int, Decision]
    ranges: Mapping[int, Decision]
    """For all other numbers: where a range begins, and what goes for it."""
    missing: frozenset[str]
    """Names that this architecture has no call for."""


def read(seccomp: Seccomp, architecture: Architecture) -> Reading:
    """Apply the rules above."""
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
    return Reading(exact, _ranges(seccomp, architecture, newest), frozenset(missing))


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
