"""The compiler against an evaluator of the document, over random profiles and calls at the edges; and its rules by name."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_common.linux.seccomp import FilterFlag
from aethel_run.seccomp.assembler import AT_LEAST, EQUAL, Program
from aethel_run.seccomp.compile import compile_profile
from aethel_run.seccomp.tables import AUDIT_ARCH, numbers
from aethel_run.spec.seccomp import Action, Architecture, Argument, Flag, Operator, Seccomp, Syscall
from tests.unit.seccomp import evaluator, interpreter

X86_64 = AUDIT_ARCH[Architecture.X86_64]
X86 = AUDIT_ARCH[Architecture.X86]
ARM = AUDIT_ARCH[Architecture.ARM]
ALLOW = evaluator.answer(Action.ALLOW, None)
EPERM = evaluator.answer(Action.ERRNO, None)
ENOSYS = evaluator.ENOSYS

# Few names, so that rules meet; many values at the edges of the halves of an argument.
NAMES = (
    "read write ioctl clone personality socket socketcall ipc semop bind readv clone3 mseal umount breakpoint set_tls"
    " nosuchcall".split()
)
VALUES = st.sampled_from(
    sorted(
        {base + delta for base in (1, 0x5412, 1 << 31, 1 << 32, 0x1_00005412, (1 << 64) - 2) for delta in (-1, 0, 1)}
    )
) | st.integers(0, (1 << 64) - 1)
ARGUMENTS = st.builds(
    Argument, index=st.integers(0, 5), value=VALUES, value_two=VALUES, op=st.sampled_from(list(Operator))
)
ERRNO = st.none() | st.integers(0, 4095)
RULES = st.one_of(
    st.builds(
        Syscall,
        names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple),
        action=st.sampled_from([action for action in Action if action not in (Action.ERRNO, Action.TRACE)]),
        args=st.lists(ARGUMENTS, max_size=3).map(tuple),
    ),
    st.builds(
        Syscall,
        names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple),
        action=st.sampled_from([Action.ERRNO, Action.TRACE]),
        errno_ret=ERRNO,
        args=st.lists(ARGUMENTS, max_size=3).map(tuple),
    ),
)
COMPATIBLE = [Architecture.X86_64, Architecture.X86, Architecture.X32, Architecture.AARCH64, Architecture.ARM]
PROFILES = st.builds(
    Seccomp,
    default_action=st.sampled_from([action for action in Action if action is not Action.NOTIFY]),
    architectures=st.lists(st.sampled_from([*COMPATIBLE, Architecture.S390X]), unique=True).map(tuple),
    syscalls=st.lists(RULES, max_size=12).map(tuple),
)
MACHINES = {
    "x86_64": (Architecture.X86_64, Architecture.X86, Architecture.X32),
    "aarch64": (Architecture.AARCH64, Architecture.ARM),
    "i686": (Architecture.X86,),
    "armv7l": (Architecture.ARM,),
}


def interesting_numbers(architecture: Architecture) -> list[int]:
    table = numbers(architecture)
    base = 0x40000000 if architecture is Architecture.X32 else 0
    known = [table[name] for name in NAMES if name in table]
    around = {number + delta for number in known for delta in (-1, 0, 1)}
    edges = {
        base,
        base + 10_000,
        0xEFFFF,
        0xF0000,
        0xF0006,
        base + 512,
        base + 547,
        base + 548,
        0x3FFFFFFF,
        0x40000000,
        0x7FFFFFFF,
        1 << 31,
        0xFFFFFFFF,
    }
    return sorted(number for number in around | edges if number >= 0)


def interesting_args(seccomp: Seccomp, draw: st.DataObject) -> list[Sequence[int]]:
    values = {0, (1 << 64) - 1, 1, 8, 12}
    for rule in seccomp.syscalls:
        for argument in rule.args:
            for value in (argument.value, argument.value_two, argument.value & argument.value_two):
                values |= {value, (value + 1) % (1 << 64), (value - 1) % (1 << 64), value ^ (1 << 32)}
    choice = st.lists(st.sampled_from(sorted(values)), min_size=6, max_size=6)
    return draw.draw(st.lists(choice, min_size=2, max_size=4))


@given(seccomp=PROFILES, machine=st.sampled_from(sorted(MACHINES)), data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_filter_decides_as_the_document_says(seccomp: Seccomp, machine: str, data: st.DataObject) -> None:
    program = compile_profile(seccomp, machine).instructions
    interpreter.check(program)
    arguments = interesting_args(seccomp, data)
    for architecture in MACHINES[machine]:
        arch = AUDIT_ARCH.get(architecture, X86_64)
        for number in interesting_numbers(architecture):
            for args in arguments:
                expected = evaluator.decide(seccomp, machine, arch, number, args)
                assert interpreter.decide(program, arch, number, args) == expected, (architecture, number, args)


EQUALITIES = st.builds(
    Syscall,
    names=st.sampled_from([("socket",), ("socket", "personality")]),
    action=st.sampled_from([Action.ALLOW, Action.TRAP]),
    args=st.builds(
        Argument,
        index=st.integers(0, 1),
        value=st.sampled_from([0, 1, 2, 3, 1 << 32, 1 << 32 | 1, 1 << 63]),
        op=st.sampled_from([Operator.EQ, Operator.EQ, Operator.EQ, Operator.NE]),
    ).map(lambda argument: (argument,)),
)


@given(rules=st.lists(EQUALITIES, max_size=15).map(tuple), data=st.data())
@settings(max_examples=100, deadline=None)
def test_rows_of_equalities_are_decided_as_the_document_says(rules: tuple[Syscall, ...], data: st.DataObject) -> None:
    """These share their loads."""
    seccomp = Seccomp(default_action=Action.ERRNO, syscalls=rules, architectures=(Architecture.X86,))
    program = compile_profile(seccomp, "x86_64").instructions
    interpreter.check(program)
    for architecture in (Architecture.X86_64, Architecture.X86):
        arch = AUDIT_ARCH[architecture]
        for name in ("socket", "personality"):
            number = numbers(architecture)[name]
            for args in interesting_args(seccomp, data):
                expected = evaluator.decide(seccomp, "x86_64", arch, number, args)
                assert interpreter.decide(program, arch, number, args) == expected, (architecture, name, args)


@given(
    actions=st.lists(st.sampled_from([1, 2, 3]), min_size=300, max_size=450),
    arguments=st.lists(ARGUMENTS, min_size=1, max_size=40),
)
@settings(max_examples=8, deadline=None)
def test_long_programs_jump_where_they_should(actions: list[int], arguments: list[Argument]) -> None:
    """More than 255 instructions away, in every direction that there is."""
    names = [name for name, _ in sorted(numbers(Architecture.X86_64).items(), key=lambda item: item[1])]
    rules = [
        Syscall(names=(name,), action=Action.ERRNO, errno_ret=10 + 3 * (index % 2) + number)  # never as its neighbour
        for index, (name, number) in enumerate(zip(names, actions, strict=False))
    ]
    rules += [
        Syscall(names=(names[-1 - index],), action=Action.ERRNO, errno_ret=100 + index, args=(argument,))
        for index, argument in enumerate(arguments)
    ]
    seccomp = Seccomp(default_action=Action.KILL_PROCESS, syscalls=tuple(rules), architectures=(Architecture.X86,))
    program = compile_profile(seccomp, "x86_64").instructions
    interpreter.check(program)
    assert len(program) > 300
    last = numbers(Architecture.X86_64)[names[-1]]
    for number in range(last + 10):
        probes = [[0] * 6]
        if number > last - 50:
            probes += [[value] * 6 for argument in arguments[:5] for value in (argument.value, argument.value ^ 1)]
        for args in probes:
            expected = evaluator.decide(seccomp, "x86_64", X86_64, number, args)
            assert interpreter.decide(program, X86_64, number, args) == expected


def test_a_far_target_is_reached_over_a_bridge() -> None:
    program = Program()
    far = program.jump(EQUAL, 7, program.give(1), program.give(2))
    far = program.load(0, far)
    label = program.give(3)
    for number in range(1000, 1300):
        label = program.jump(EQUAL, number, label, program.jump(AT_LEAST, number, far, label))
    program.load(4, label)
    instructions = program.instructions()
    interpreter.check(instructions)
    assert interpreter.decide(instructions, 5000, 7) == 1
    assert interpreter.decide(instructions, 5000, 8) == 2
    assert interpreter.decide(instructions, 1, 7) == 3


def profile(*rules: Syscall, default: Action = Action.ERRNO, **fields: object) -> Seccomp:
    return Seccomp(default_action=default, syscalls=rules, **fields)  # type: ignore[arg-type]


def allow(*names: str, **fields: object) -> Syscall:
    return Syscall(names=names, action=Action.ALLOW, **fields)  # type: ignore[arg-type]


def decide(seccomp: Seccomp, name: str, *args: int, architecture: Architecture = Architecture.X86_64) -> int:
    program = compile_profile(seccomp, "x86_64").instructions
    padded = [*args, *[0] * (6 - len(args))]
    return interpreter.decide(program, AUDIT_ARCH[architecture], numbers(architecture)[name], padded)


def test_calls_newer_than_the_profile_answer_enosys() -> None:
    seccomp = profile(allow("read", "statx"))
    assert decide(seccomp, "statx") == ALLOW
    assert decide(seccomp, "write") == EPERM
    assert decide(seccomp, "io_pgetevents") == ENOSYS
    assert decide(seccomp, "clone3") == ENOSYS


def test_a_rule_that_denies_makes_a_call_known_to_the_profile() -> None:
    seccomp = profile(allow("read"), Syscall(names=("clone3",), action=Action.ERRNO))
    assert decide(seccomp, "clone3") == EPERM
    assert decide(seccomp, "close_range") == ENOSYS


@pytest.mark.parametrize("default", [Action.ALLOW, Action.LOG, Action.TRACE])
def test_a_default_that_lets_calls_through_lets_newer_ones_through(default: Action) -> None:
    seccomp = profile(Syscall(names=("read",), action=Action.KILL), default=default)
    assert decide(seccomp, "clone3") == evaluator.answer(default, None)


def test_a_profile_that_names_nothing_denies_all_with_its_default() -> None:
    assert decide(profile(), "clone3") == EPERM
    assert decide(profile(allow("nosuchcall")), "clone3") == EPERM


def test_numbers_of_arms_own_calls_do_not_make_a_profile_newer() -> None:
    program = compile_profile(profile(allow("read", "set_tls")), "armv7l").instructions
    for number, expected in (
        (3, ALLOW),
        (4, ENOSYS),
        (435, ENOSYS),
        (0xF0005, ALLOW),
        (0xF0006, EPERM),
        (0x100000, ENOSYS),
    ):
        assert interpreter.decide(program, ARM, number) == expected


def test_foreign_architectures_and_x32_kill_the_process() -> None:
    program = compile_profile(profile(default=Action.ALLOW), "x86_64").instructions
    assert interpreter.decide(program, X86, 3) == evaluator.KILL_PROCESS
    assert interpreter.decide(program, ARM, 3) == evaluator.KILL_PROCESS
    assert interpreter.decide(program, X86_64, 0x40000000) == evaluator.KILL_PROCESS
    assert interpreter.decide(program, X86_64, 0xFFFFFFFE) == evaluator.KILL_PROCESS
    assert interpreter.decide(program, X86_64, 0) == ALLOW
    assert interpreter.decide(program, X86_64, 0xFFFFFFFF) == ALLOW  # what a tracer skips a call with


def test_x32_is_filtered_when_the_profile_names_it() -> None:
    seccomp = profile(allow("read", "readv", "close_range"), architectures=(Architecture.X32,))
    program = compile_profile(seccomp, "x86_64").instructions
    assert interpreter.decide(program, X86_64, 0x40000000) == ALLOW
    assert interpreter.decide(program, X86_64, 0x40000001) == EPERM
    assert interpreter.decide(program, X86_64, 0x40000000 + 515) == ALLOW
    assert interpreter.decide(program, X86_64, 0x40000000 + 19) == EPERM  # readv of x86_64
    assert interpreter.decide(program, X86_64, 0x40000000 + 516) == EPERM  # writev: not newer, x32 keeps it up there
    assert interpreter.decide(program, X86_64, 0x40000000 + 437) == ENOSYS


def test_an_index_that_is_there_twice_means_either() -> None:
    either = (
        Argument(index=0, op=Operator.EQ, value=1),
        Argument(index=0, op=Operator.EQ, value=2),
    )
    seccomp = profile(allow("socket", args=either))
    assert [decide(seccomp, "socket", value) for value in (1, 2, 3)] == [ALLOW, ALLOW, EPERM]


def test_a_rule_without_args_is_stronger_than_rules_with() -> None:
    refused = Syscall(
        names=("ioctl",),
        action=Action.ERRNO,
        errno_ret=errno.EIO,
        args=(Argument(index=1, op=Operator.EQ, value=0x5412),),
    )
    assert decide(profile(refused, allow("ioctl")), "ioctl", 0, 0x5412) == ALLOW
    anything = Argument(index=1, op=Operator.GE, value=0)
    seccomp = profile(refused, allow("ioctl", args=(anything,)))
    assert decide(seccomp, "ioctl", 0, 0x5412) == evaluator.answer(Action.ERRNO, errno.EIO)
    assert decide(seccomp, "ioctl", 0, 0x5413) == ALLOW


def test_sockets_behind_socketcall_are_seen_where_their_family_does_not_matter() -> None:
    family = Argument(index=0, op=Operator.LT, value=38)
    seccomp = profile(allow("bind"), allow("socket", args=(family,)), architectures=(Architecture.X86,))
    assert decide(seccomp, "socket", 2, architecture=Architecture.X86) == ALLOW
    assert decide(seccomp, "socketcall", 2, architecture=Architecture.X86) == ALLOW  # bind
    assert decide(seccomp, "socketcall", 1, architecture=Architecture.X86) == EPERM  # socket, of whatever family
    denied = Syscall(names=("socket",), action=Action.ERRNO, args=(family,))
    seccomp = profile(denied, default=Action.ALLOW, architectures=(Architecture.X86,))
    assert decide(seccomp, "socketcall", 1, architecture=Architecture.X86) == EPERM
    assert decide(seccomp, "socketcall", 2, architecture=Architecture.X86) == ALLOW


def test_names_that_nobody_has_are_told() -> None:
    seccomp = profile(allow("read", "nosuchcall", "socketcall", "breakpoint", "alsonot"))
    assert compile_profile(seccomp, "x86_64").unknown == ("alsonot", "nosuchcall")


def test_flags_of_the_document_become_the_kernels() -> None:
    notify = Syscall(names=("mknod",), action=Action.NOTIFY)
    assert compile_profile(profile(), "x86_64").flags == FilterFlag(0)
    assert compile_profile(profile(flags=(Flag.LOG, Flag.SPEC_ALLOW)), "x86_64").flags == (
        FilterFlag.LOG | FilterFlag.SPEC_ALLOW
    )
    assert compile_profile(profile(notify), "x86_64").flags == FilterFlag.NEW_LISTENER
    assert compile_profile(profile(notify, flags=(Flag.TSYNC, Flag.WAIT_KILLABLE_RECV)), "x86_64").flags == (
        FilterFlag.NEW_LISTENER | FilterFlag.TSYNC | FilterFlag.TSYNC_ESRCH | FilterFlag.WAIT_KILLABLE_RECV
    )


def test_a_machine_without_tables_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="riscv64"):
        compile_profile(profile(), "riscv64")


def test_a_profile_that_is_too_large_for_the_kernel_is_refused() -> None:
    rules = [allow("ioctl", args=(Argument(index=index % 6, op=Operator.EQ, value=index),)) for index in range(1500)]
    with pytest.raises(InvalidSpec, match="4096"):
        compile_profile(profile(*rules), "x86_64")


def test_a_filter_of_every_call_takes_few_instructions_a_call() -> None:
    """A tree, not a list: what a system call pays."""
    names = sorted(numbers(Architecture.X86_64), key=numbers(Architecture.X86_64).__getitem__)
    program = compile_profile(profile(allow(*names[::2], names[-1])), "x86_64").instructions
    longest = max(interpreter.run(program, X86_64, number)[1] for number in range(500))
    assert longest <= 16
