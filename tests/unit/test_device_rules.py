"""Device rules: the program does what a plain reading of the list does."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_run.cgroup.devices import ACCESS, BLOCK, CHARACTER, DEFAULT_RULES, Rule, parse, program
from aethel_run.cgroup.managers.properties import device_properties
from aethel_run.spec.resources import DeviceRule, DeviceType

WORD = 0xFFFFFFFF


def run(code: bytes, access: int, kind: int, major: int, minor: int) -> int:
    """A small BPF machine: only what the compiler may emit, and a fault for anything else."""
    context = struct.pack("=3I", access << 16 | kind, major, minor)
    registers = [0] * 11
    at = 0
    for _ in range(len(code)):
        opcode, both, offset, immediate = struct.unpack_from("=BBhI", code, at * 8)
        target, source = both & 15, both >> 4
        at += 1
        match opcode:
            case 0x61:
                assert source == 1
                registers[target] = struct.unpack_from("=I", context, offset)[0]
            case 0xB4:
                registers[target] = immediate
            case 0xBC:
                registers[target] = registers[source] & WORD
            case 0x54:
                registers[target] = registers[target] & immediate & WORD
            case 0x74:
                registers[target] = (registers[target] & WORD) >> immediate
            case 0x16:
                at += offset if registers[target] == immediate else 0
            case 0x56:
                at += offset if registers[target] != immediate else 0
            case 0x95:
                return registers[0]
            case _:
                raise AssertionError(f"opcode {opcode:#x}")
    raise AssertionError("it does not end")


def naive(rules: Sequence[Rule], access: int, kind: int, major: int, minor: int) -> bool:
    """Each kind of access that is asked for by itself: the last rule that speaks of it decides."""
    for bit in ACCESS.values():
        if not access & bit:
            continue
        verdict = False
        for rule in rules:
            same = all(
                want in (None, have) for want, have in ((rule.type, kind), (rule.major, major), (rule.minor, minor))
            )
            if same and rule.access & bit:
                verdict = rule.allow
        if not verdict:
            return False
    return True


numbers = st.none() | st.sampled_from([0, 1, 3, 136, 0xFFFFFFFF])
rule = st.builds(
    Rule,
    allow=st.booleans(),
    type=st.sampled_from([None, BLOCK, CHARACTER]),
    major=numbers,
    minor=numbers,
    access=st.integers(1, 7),
)
use = st.tuples(
    st.integers(0, 7),
    st.sampled_from([BLOCK, CHARACTER]),
    st.sampled_from([0, 1, 2, 3, 136, 0xFFFFFFFF]),
    st.sampled_from([0, 1, 2, 3, 136, 0xFFFFFFFF]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(rule, max_size=12), st.lists(use, min_size=1, max_size=20))
def test_the_program_is_the_list(rules: list[Rule], uses: list[tuple[int, int, int, int]]) -> None:
    code = program(rules)
    for each in uses:
        assert run(code, *each) == naive(rules, *each), each


@settings(deadline=None)
@given(st.lists(rule, max_size=12))
def test_every_instruction_can_be_reached(rules: list[Rule]) -> None:
    """The verifier refuses others."""
    code = program(rules)
    count = len(code) // 8
    seen: set[int] = set()
    ahead = [0]
    while ahead:
        at = ahead.pop()
        if at in seen:
            continue
        seen.add(at)
        opcode, _, offset, _ = struct.unpack_from("=BBhI", code, at * 8)
        if opcode == 0x95:
            continue
        assert at + 1 < count
        ahead.append(at + 1)
        if opcode in (0x16, 0x56):
            assert offset > 0
            ahead.append(at + 1 + offset)
    assert seen == set(range(count))


def ask(rules: Sequence[DeviceRule], letters: str, kind: int, major: int, minor: int) -> bool:
    code = program((*parse(rules), *parse(DEFAULT_RULES)))
    return run(code, sum(ACCESS[letter] for letter in letters), kind, major, minor) == 1


DENY_ALL = DeviceRule(allow=False, access="rwm")


def test_what_every_container_may_use() -> None:
    for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, 0), (136, 99)):
        assert ask([DENY_ALL], "rw", CHARACTER, major, minor)
    assert ask([DENY_ALL], "m", BLOCK, 8, 0)
    assert not ask([DENY_ALL], "r", BLOCK, 8, 0)
    assert not ask([DENY_ALL], "rw", CHARACTER, 1, 11)  # kmsg
    assert not ask([DENY_ALL], "rw", CHARACTER, 5, 1)  # the host's console
    assert not ask([], "r", CHARACTER, 1, 1)


def test_a_device_given_for_reading_is_not_given_for_writing() -> None:
    rules = [DENY_ALL, DeviceRule(allow=True, type=DeviceType.BLOCK, major=8, minor=0, access="r")]
    assert ask(rules, "r", BLOCK, 8, 0)
    assert not ask(rules, "rw", BLOCK, 8, 0)
    assert not ask(rules, "r", BLOCK, 8, 1)
    assert not ask(rules, "r", CHARACTER, 8, 0)


def test_type_a_is_every_device_whatever_its_numbers() -> None:
    assert parse([DeviceRule(allow=True, major=1, minor=2, access="r")]) == (Rule(True, None, None, None, ACCESS["r"]),)
    assert parse([DeviceRule(allow=True, type=DeviceType.BLOCK, major=-1, minor=2, access="r")])[0].major is None


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (DeviceRule(allow=True), r"devices\[0\]\.access"),
        (DeviceRule(allow=True, access="rx"), r"devices\[0\]\.access"),
        (DeviceRule(allow=True, type=DeviceType.BLOCK, major=-2, access="r"), r"devices\[0\]\.major"),
        (DeviceRule(allow=True, type=DeviceType.BLOCK, minor=1 << 32, access="r"), r"devices\[0\]\.minor"),
    ],
)
def test_bad_rules_are_refused_with_their_path(bad: DeviceRule, words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        parse([bad])


def test_systemd_is_told_what_is_allowed() -> None:
    tape = DeviceRule(allow=True, type=DeviceType.BLOCK, major=9, access="rw")
    disk = DeviceRule(allow=True, type=DeviceType.BLOCK, major=8, minor=0, access="rw")
    no_writing = DeviceRule(allow=False, type=DeviceType.BLOCK, major=8, access="w")
    policy, allow = device_properties([DENY_ALL, tape, disk, no_writing])
    assert policy == ("DevicePolicy", ("s", "strict"))
    entries = allow[1][1]
    assert isinstance(entries, list)
    assert entries[:2] == [("block-9", "rw"), ("/dev/block/8:0", "r")]
    assert ("char-136", "rwm") in entries
    assert ("char-*", "m") in entries


def test_systemd_is_told_that_all_is_allowed() -> None:
    allow_all = DeviceRule(allow=True, access="rwm")
    assert device_properties([DENY_ALL, allow_all])[0] == ("DevicePolicy", ("s", "auto"))


@pytest.mark.parametrize(
    "rules",
    [
        [DeviceRule(allow=True, access="rwm"), DeviceRule(allow=False, type=DeviceType.BLOCK, access="w")],
        [
            DeviceRule(allow=True, type=DeviceType.BLOCK, major=8, access="rw"),
            DeviceRule(allow=False, type=DeviceType.BLOCK, major=8, minor=1, access="w"),
        ],
        [DeviceRule(allow=True, type=DeviceType.BLOCK, minor=1, access="rw")],
    ],
)
def test_what_systemd_cannot_express_is_refused(rules: list[DeviceRule]) -> None:
    with pytest.raises(Unsupported, match="systemd"):
        device_properties(rules)


@settings(deadline=None)
@given(st.lists(rule, max_size=6), st.lists(use, min_size=1, max_size=20))
def test_what_systemd_is_told_is_what_the_program_does(
    rules: list[Rule], uses: list[tuple[int, int, int, int]]
) -> None:
    """Read back as systemd reads it: an entry allows its letters to its devices, and nothing else does."""
    letters = {bit: letter for letter, bit in ACCESS.items()}
    kinds = {None: DeviceType.ALL, BLOCK: DeviceType.BLOCK, CHARACTER: DeviceType.CHARACTER}
    document = [
        DeviceRule(
            allow=each.allow,
            type=kinds[each.type],
            major=each.major,
            minor=each.minor,
            access="".join(letter for bit, letter in letters.items() if each.access & bit),
        )
        for each in rules
    ]
    try:
        policy, allow = device_properties(document)
    except Unsupported:
        return
    whole = (*parse(document), *parse(DEFAULT_RULES))
    for access, kind, major, minor in uses:
        told = policy[1][1] == "auto"
        names = {BLOCK: "block", CHARACTER: "char"}
        about = {f"{names[kind]}-*", f"{names[kind]}-{major}", f"/dev/{names[kind]}/{major}:{minor}"}
        entries = allow[1][1]
        assert isinstance(entries, list)
        for bit, letter in letters.items():
            if access & bit:
                allowed = told or any(name in about and letter in given for name, given in entries)
                assert allowed == naive(whole, bit, kind, major, minor)
