"""libseccomp decides the same, wherever the two are meant to."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aethel_run.seccomp.compile import compile_profile
from aethel_run.seccomp.profile import default_profile
from aethel_run.seccomp.tables import AUDIT_ARCH, numbers
from aethel_run.spec.seccomp import Action, Architecture, Argument, Operator, Seccomp, Syscall
from tests.unit.seccomp import interpreter, libseccomp
from tests.unit.seccomp.test_compile import ARGUMENTS, interesting_args

NATIVE = {"x86_64": Architecture.X86_64, "aarch64": Architecture.AARCH64}
NAMES = "read write ioctl clone personality socket socketcall ipc semop bind readv clone3 umount".split()


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    found = libseccomp.load()
    if found is None:
        pytest.skip("libseccomp.so.2 is not installed")
    return found


def knows(library: ctypes.CDLL, name: str) -> bool:
    return int(library.seccomp_syscall_resolve_name(name.encode())) != -1


def is_known_difference(architecture: Architecture, name: str) -> bool:
    """Sockets and System V IPC behind socketcall and ipc: described in `compile`, tested by name there."""
    return architecture is Architecture.X86 and name in ("socketcall", "ipc")


EQUALITY = st.builds(Argument, index=st.just(1), value=st.integers(0, 5) | st.just(1 << 32), op=st.just(Operator.EQ))
# For each call one rule, or several that want one argument to be one of several values. More than that libseccomp does not
# always get right: its tree does not come back from a branch (of "arg0 < 0 and arg1 != 0" or "arg0 < 1 << 32" it knows
# the first only). Which of two rules wins that both hold it leaves open, so a call has one action.
RULES = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.lists(ARGUMENTS, max_size=3, unique_by=lambda each: each.index).map(lambda args: [args])
        | st.lists(EQUALITY.map(lambda argument: [argument]), min_size=2, max_size=5),
    ),
    max_size=10,
    unique_by=lambda rules: rules[0],
).map(lambda calls: [(name, args) for name, rules in calls for args in rules])
ACTIONS = dict(zip(NAMES, [Action.ALLOW, Action.LOG, Action.TRAP, Action.KILL_PROCESS, Action.ALLOW] * 4, strict=False))


@given(
    rules=RULES,
    architectures=st.lists(st.sampled_from([Architecture.X86, Architecture.X32]), unique=True).map(tuple),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_random_profiles_are_decided_alike(
    library: ctypes.CDLL,
    rules: list[tuple[str, list[Argument]]],
    architectures: tuple[Architecture, ...],
    data: st.DataObject,
) -> None:
    # The last rule names the newest call, so that ENOSYS for newer ones, which libseccomp has not, plays no part.
    syscalls = [Syscall(names=(name,), action=ACTIONS[name], args=tuple(args)) for name, args in rules]
    syscalls.append(Syscall(names=("faccessat2",), action=Action.ALLOW))
    seccomp = Seccomp(default_action=Action.ERRNO, architectures=architectures, syscalls=tuple(syscalls))
    ours = compile_profile(seccomp, "x86_64").instructions
    theirs = libseccomp.compile_profile(library, seccomp, Architecture.X86_64)
    arguments = interesting_args(seccomp, data)
    for architecture in (Architecture.X86_64, *architectures):
        arch = AUDIT_ARCH.get(architecture, AUDIT_ARCH[Architecture.X86_64])
        table = numbers(architecture)
        for name in (*NAMES, "faccessat2", "close"):
            # The kernel shows all 64 bits of x32's arguments, and they count here; to libseccomp they have 32.
            narrow = architecture is Architecture.X32 and any(args for of, args in rules if of == name)
            if name in table and not narrow and not is_known_difference(architecture, name):
                for args in arguments:
                    decided = interpreter.decide(ours, arch, table[name], args)
                    assert decided == interpreter.decide(theirs, arch, table[name], args), (architecture, name, args)


@pytest.mark.parametrize("capabilities", [frozenset(), frozenset({"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_TIME"})])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_default_profile_is_decided_alike_for_every_number(
    library: ctypes.CDLL, machine: str, capabilities: frozenset[str]
) -> None:
    seccomp = default_profile(capabilities, machine)
    ours = compile_profile(seccomp, machine).instructions
    theirs = libseccomp.compile_profile(library, seccomp, NATIVE[machine])
    interpreter.check(theirs)
    values = {0, 1, 2, 8, 17, 38, 39, 40, 41, 45, 46, 0x20000, 0x20008, 0x5411, 0x5412, 0x541C, 0x02000000, 0x7E020000}
    values |= {value | 1 << 32 for value in values} | {0xFFFFFFFF, 0xFFFFFFFF_00005412, (1 << 64) - 1}
    compared = 0
    for architecture in seccomp.architectures:
        arch, table = AUDIT_ARCH[architecture], numbers(architecture)
        names = {number: name for name, number in table.items()}
        newest = max(number for name, number in table.items() if number < 0xF0000 and knows(library, name))
        for number in range(newest + 1):
            name = names.get(number, "")
            if is_known_difference(architecture, name) or (name and not knows(library, name)):
                continue
            for value in values if name in ("socket", "ioctl", "personality", "clone") else (0, 1):
                args = [value] * 6
                decided = interpreter.decide(ours, arch, number, args)
                assert decided == interpreter.decide(theirs, arch, number, args), (
                    architecture,
                    number,
                    name,
                    hex(value),
                )
                compared += 1
    assert compared > 1500


def test_foreign_architectures_and_x32_are_decided_alike(library: ctypes.CDLL) -> None:
    seccomp = Seccomp(default_action=Action.ALLOW, syscalls=(Syscall(names=("read",), action=Action.TRAP),))
    ours = compile_profile(seccomp, "x86_64").instructions
    theirs = libseccomp.compile_profile(library, seccomp, Architecture.X86_64)
    for arch in AUDIT_ARCH.values():
        for number in (0, 1, 0x3FFFFFFF, 0x40000000, 0x40000001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF):
            assert interpreter.decide(ours, arch, number) == interpreter.decide(theirs, arch, number), (arch, number)


def test_the_program_is_shorter_than_libseccomps(library: ctypes.CDLL) -> None:
    seccomp = default_profile(frozenset(), "x86_64")
    ours = compile_profile(seccomp, "x86_64").instructions
    theirs = libseccomp.compile_profile(library, seccomp, Architecture.X86_64)
    assert len(ours) < len(theirs)


def test_the_names_that_both_know_have_the_same_numbers(library: ctypes.CDLL) -> None:
    library.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    tokens = {Architecture.X32: 0x4000003E, **AUDIT_ARCH}
    same = 0
    for architecture, token in tokens.items():
        for name, number in numbers(architecture).items():
            theirs = library.seccomp_syscall_resolve_name_arch(token, name.encode())
            if theirs >= 0:
                assert theirs == number, (architecture, name)
                same += 1
    assert same > 1800
