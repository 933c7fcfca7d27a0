"""What a document means for one call, read rule by rule and as plainly as can be: what the compiler is held against."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from aethel_run.seccomp.tables import AUDIT_ARCH, IPC, PRIVATE, SOCKETCALL, architectures_of, numbers
from aethel_run.spec.seccomp import Action, Architecture, Argument, Operator, Seccomp, Syscall

KILL_PROCESS = 0x80000000
ENOSYS = 0x00050000 | errno.ENOSYS
_RETURN = {
    Action.KILL: 0,
    Action.KILL_THREAD: 0,
    Action.KILL_PROCESS: KILL_PROCESS,
    Action.TRAP: 0x00030000,
    Action.ERRNO: 0x00050000,
    Action.TRACE: 0x7FF00000,
    Action.ALLOW: 0x7FFF0000,
    Action.LOG: 0x7FFC0000,
    Action.NOTIFY: 0x7FC00000,
}


def answer(action: Action, errno_ret: int | None) -> int:
    if action in (Action.ERRNO, Action.TRACE):
        return _RETURN[action] + (1 if errno_ret is None else errno_ret)
    return _RETURN[action]


def decide(seccomp: Seccomp, machine: str, arch: int, number: int, args: Sequence[int]) -> int:
    architecture = which(seccomp, machine, arch, number)
    if architecture is None:
        return KILL_PROCESS
    default = answer(seccomp.default_action, seccomp.default_errno_ret)
    if is_newer(seccomp, architecture, number):
        return default if seccomp.default_action in (Action.ALLOW, Action.LOG, Action.TRACE) else ENOSYS
    names = {name for name, own in numbers(architecture).items() if own == number}
    rules = [rule for rule in seccomp.syscalls if answer(rule.action, rule.errno_ret) != default]
    for rule in rules:
        if not names.isdisjoint(rule.names) and not rule.args:
            return answer(rule.action, rule.errno_ret)
    for rule in rules:
        if not names.isdisjoint(rule.names) and holds(rule, architecture, args):
            return answer(rule.action, rule.errno_ret)
        if architecture is Architecture.X86 and {(name, args[0] & 0xFFFF) for name in names} & behind(seccomp, rule):
            return answer(rule.action, rule.errno_ret)
    return default


def which(seccomp: Seccomp, machine: str, arch: int, number: int) -> Architecture | None:
    native, *others = architectures_of(machine)
    for architecture in (native, *(other for other in others if other in seccomp.architectures)):
        if architecture is Architecture.X32:
            continue
        if AUDIT_ARCH[architecture] == arch:
            if architecture is Architecture.X86_64 and 0x40000000 <= number < 0xFFFFFFFF:
                return Architecture.X32 if Architecture.X32 in seccomp.architectures else None
            return architecture
    return None


def is_newer(seccomp: Seccomp, architecture: Architecture, number: int) -> bool:
    table = numbers(architecture)
    private = PRIVATE.get(architecture, range(0))
    names = {name for rule in seccomp.syscalls for name in rule.names}
    if architecture is Architecture.X86:
        names |= {multiplexer for rule in seccomp.syscalls for multiplexer, _ in behind(seccomp, rule)}
    named = {table[name] for name in names if name in table}
    ages = [own for own in named if own not in private]
    return bool(ages) and number > max(ages) and number not in private


def holds(rule: Syscall, architecture: Architecture, args: Sequence[int]) -> bool:
    results = [compare(argument, architecture, args[argument.index]) for argument in rule.args]
    twice = len({argument.index for argument in rule.args}) < len(rule.args)
    return any(results) if twice else all(results)


def behind(seccomp: Seccomp, rule: Syscall) -> set[tuple[str, int]]:
    """The calls of socketcall and ipc that a rule for socket, semop... means as well."""
    if rule.args and rule.action in (Action.ALLOW, Action.LOG):
        return set()
    named = {name for other in seccomp.syscalls for name in other.names}
    return {
        (multiplexer, calls[name])
        for multiplexer, calls in (("socketcall", SOCKETCALL), ("ipc", IPC))
        if multiplexer not in named
        for name in rule.names
        if name in calls
    }


def compare(argument: Argument, architecture: Architecture, value: int) -> bool:
    bits = 0xFFFFFFFF if architecture in (Architecture.X86, Architecture.ARM) else 0xFFFFFFFFFFFFFFFF
    left, right = value & bits, argument.value & bits
    match argument.op:
        case Operator.EQ:
            return left == right
        case Operator.NE:
            return left != right
        case Operator.LT:
            return left < right
        case Operator.LE:
            return left <= right
        case Operator.GT:
            return left > right
        case Operator.GE:
            return left >= right
        case Operator.MASKED_EQ:
            return left & right == argument.value_two & right
