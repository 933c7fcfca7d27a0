"""`linux.seccomp` of config.json, and the rules between its fields. config-linux.md#seccomp"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_run.spec.document import Document


class Action(StrEnum):
    """What the kernel does with a call."""

    KILL = "SCMP_ACT_KILL"
    KILL_PROCESS = "SCMP_ACT_KILL_PROCESS"
    KILL_THREAD = "SCMP_ACT_KILL_THREAD"
    TRAP = "SCMP_ACT_TRAP"
    ERRNO = "SCMP_ACT_ERRNO"
    TRACE = "SCMP_ACT_TRACE"
    ALLOW = "SCMP_ACT_ALLOW"
    LOG = "SCMP_ACT_LOG"
    NOTIFY = "SCMP_ACT_NOTIFY"


class Operator(StrEnum):
    """How an argument, 64 bits without a sign, is compared with `value`."""

    NE = "SCMP_CMP_NE"
    LT = "SCMP_CMP_LT"
    LE = "SCMP_CMP_LE"
    EQ = "SCMP_CMP_EQ"
    GE = "SCMP_CMP_GE"
    GT = "SCMP_CMP_GT"
    MASKED_EQ = "SCMP_CMP_MASKED_EQ"
    """The bits that are set in `value` are as in `valueTwo`."""


class Architecture(StrEnum):
    """Whose system calls."""

    X86 = "SCMP_ARCH_X86"
    X86_64 = "SCMP_ARCH_X86_64"
    X32 = "SCMP_ARCH_X32"
    ARM = "SCMP_ARCH_ARM"
    AARCH64 = "SCMP_ARCH_AARCH64"
    MIPS = "SCMP_ARCH_MIPS"
    MIPS64 = "SCMP_ARCH_MIPS64"
    MIPS64N32 = "SCMP_ARCH_MIPS64N32"
    MIPSEL = "SCMP_ARCH_MIPSEL"
    MIPSEL64 = "SCMP_ARCH_MIPSEL64"
    MIPSEL64N32 = "SCMP_ARCH_MIPSEL64N32"
    PPC = "SCMP_ARCH_PPC"
    PPC64 = "SCMP_ARCH_PPC64"
    PPC64LE = "SCMP_ARCH_PPC64LE"
    S390 = "SCMP_ARCH_S390"
    S390X = "SCMP_ARCH_S390X"
    PARISC = "SCMP_ARCH_PARISC"
    PARISC64 = "SCMP_ARCH_PARISC64"
    RISCV64 = "SCMP_ARCH_RISCV64"
    LOONGARCH64 = "SCMP_ARCH_LOONGARCH64"
    M68K = "SCMP_ARCH_M68K"
    SH = "SCMP_ARCH_SH"
    SHEB = "SCMP_ARCH_SHEB"


class Flag(StrEnum):
    """How the filter is loaded. man 2 seccomp"""

    TSYNC = "SECCOMP_FILTER_FLAG_TSYNC"
    LOG = "SECCOMP_FILTER_FLAG_LOG"
    SPEC_ALLOW = "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
    WAIT_KILLABLE_RECV = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"


class Argument(Document, frozen=True, kw_only=True):
    """A condition on one argument of a call, counted from 0."""

    index: int
    value: int
    value_two: int = 0
    op: Operator


class Syscall(Document, frozen=True, kw_only=True):
    """A rule: what to do with these calls when all of `args` hold."""

    names: tuple[str, ...]
    action: Action
    errno_ret: int | None = None
    args: tuple[Argument, ...] = ()


class Seccomp(Document, frozen=True, kw_only=True):
    """A whole profile."""

    default_action: Action
    default_errno_ret: int | None = None
    architectures: tuple[Architecture, ...] = ()
    flags: tuple[Flag, ...] = ()
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: tuple[Syscall, ...] = ()


_LARGEST_ERRNO: Final = {Action.ERRNO: 4095, Action.TRACE: 0xFFFF}
"""The kernel's MAX_ERRNO, and the 16 bits that a tracer is told."""
_LARGEST_VALUE: Final = (1 << 64) - 1


def check(seccomp: Seccomp, path: str = "linux.seccomp") -> None:
    """Apply every rule; `path` is where the document stands. Raises InvalidSpec for the first that is broken."""
    for rule in _RULES:
        rule(seccomp, path)


def errno_goes_with_an_action_that_has_one(seccomp: Seccomp, path: str) -> None:
    """The others could not honour it."""
    _errno(seccomp.default_action, seccomp.default_errno_ret, f"{path}.defaultErrnoRet")
    for index, rule in enumerate(seccomp.syscalls):
        _errno(rule.action, rule.errno_ret, f"{path}.syscalls[{index}].errnoRet")


def _errno(action: Action, number: int | None, path: str) -> None:
    if number is None:
        return
    largest = _LARGEST_ERRNO.get(action)
    if largest is None:
        raise InvalidSpec(f"{path}: {action} returns no errno")
    if not 0 <= number <= largest:
        raise InvalidSpec(f"{path}: {number} is not within 0..{largest}")


def every_rule_names_a_call(seccomp: Seccomp, path: str) -> None:
    """At least one name, and none that is empty."""
    for index, rule in enumerate(seccomp.syscalls):
        if not rule.names or "" in rule.names:
            raise InvalidSpec(f"{path}.syscalls[{index}].names: empty")


def arguments_are_what_the_kernel_shows(seccomp: Seccomp, path: str) -> None:
    """Six of 64 bits each."""
    for index, rule in enumerate(seccomp.syscalls):
        for number, argument in enumerate(rule.args):
            where = f"{path}.syscalls[{index}].args[{number}]"
            if not 0 <= argument.index <= 5:
                raise InvalidSpec(f"{where}.index: {argument.index} is not within 0..5")
            for field, value in (("value", argument.value), ("valueTwo", argument.value_two)):
                if not 0 <= value <= _LARGEST_VALUE:
                    raise InvalidSpec(f"{where}.{field}: {value} does not fit into 64 bits")


def metadata_goes_with_a_listener(seccomp: Seccomp, path: str) -> None:
    """Otherwise nobody would read it."""
    if seccomp.listener_metadata and not seccomp.listener_path:
        raise InvalidSpec(f"{path}.listenerMetadata: needs listenerPath")


def notify_needs_a_listener(seccomp: Seccomp, path: str) -> None:
    """Without one every such call would wait for ever."""
    for index, rule in enumerate(seccomp.syscalls):
        if rule.action is Action.NOTIFY and not seccomp.listener_path.startswith("/"):
            raise InvalidSpec(f"{path}.syscalls[{index}].action: {rule.action} needs listenerPath, an absolute path")


def notify_leaves_a_way_to_hand_the_listener_over(seccomp: Seccomp, path: str) -> None:
    """The filtered process has to tell of its listener, by write(2), before anybody can answer for it."""
    if seccomp.default_action is Action.NOTIFY:
        raise InvalidSpec(f"{path}.defaultAction: {Action.NOTIFY} cannot be the default")
    for index, rule in enumerate(seccomp.syscalls):
        if rule.action is Action.NOTIFY and "write" in rule.names:
            raise InvalidSpec(f"{path}.syscalls[{index}]: {rule.action} cannot be used for write")


def wait_killable_goes_with_notify(seccomp: Seccomp, path: str) -> None:
    """The kernel refuses the flag for a filter without a listener."""
    notifies = any(rule.action is Action.NOTIFY for rule in seccomp.syscalls)
    if Flag.WAIT_KILLABLE_RECV in seccomp.flags and not notifies:
        raise InvalidSpec(f"{path}.flags: {Flag.WAIT_KILLABLE_RECV} needs a rule with {Action.NOTIFY}")


_RULES = (
    errno_goes_with_an_action_that_has_one,
    every_rule_names_a_call,
    arguments_are_what_the_kernel_shows,
    metadata_goes_with_a_listener,
    notify_needs_a_listener,
    notify_leaves_a_way_to_hand_the_listener_over,
    wait_killable_goes_with_notify,
)
