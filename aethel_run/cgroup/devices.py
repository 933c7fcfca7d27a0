"""Device rules to a program that the kernel asks at each use of a device, and its attachment to a cgroup.

The rules are read in order, and for each kind of access that is asked for the last that speaks of it decides; what none
speaks of is denied. config-linux.md#allowed-device-list, cgroup-v2.rst#device-controller
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux import bpf
from aethel_common.linux.bpf import Attach
from aethel_run.cgroup.tree import Cgroup
from aethel_run.spec.resources import DeviceRule, DeviceType, allowed

_PROGRAM: Final = "aethel_devices"

BLOCK: Final = 1
CHARACTER: Final = 2
"""BPF_DEVCG_DEV_* of linux/bpf.h."""
ACCESS: Final = {"m": 1, "r": 2, "w": 4}
"""BPF_DEVCG_ACC_*"""
ALL_ACCESS: Final = 7

_TYPE: Final = {DeviceType.BLOCK: BLOCK, DeviceType.CHARACTER: CHARACTER}


DEFAULT_RULES: Final = (
    # A node alone gives nothing: using it is asked again.
    allowed(None, None, "m", "c"),
    allowed(None, None, "m", "b"),
    allowed(1, 3),  # null
    allowed(1, 5),  # zero
    allowed(1, 7),  # full
    allowed(1, 8),  # random
    allowed(1, 9),  # urandom
    allowed(5, 0),  # tty
    allowed(5, 2),  # ptmx
    allowed(136, None),  # pts, and the console, which is one of them: 5:1 is the host's
    allowed(10, 200),  # net/tun: of use only to who may make interfaces; callers count on it
)
"""What every container may use, whatever its rules say. config-linux.md#default-devices; runc's list."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the kernel sees it: None is any."""

    allow: bool
    type: int | None
    major: int | None
    minor: int | None
    access: int

    @property
    def matches_every_device(self) -> bool:
        """Nothing before it can speak of what it speaks of."""
        return self.type is None and self.major is None and self.minor is None


def parse(rules: Sequence[DeviceRule]) -> tuple[Rule, ...]:
    """Check the document's rules. Raises InvalidSpec with the JSON path."""
    return tuple(_parse(rule, f"linux.resources.devices[{index}]") for index, rule in enumerate(rules))


def _parse(rule: DeviceRule, where: str) -> Rule:
    if not rule.access or set(rule.access) - set(ACCESS):
        raise InvalidSpec(f"{where}.access: {rule.access!r} is not made of r, w and m")
    # `a` is every device, whatever its numbers say, as in cgroup v1's devices.allow.
    numbered = rule.type is not DeviceType.ALL
    return Rule(
        allow=rule.allow,
        type=_TYPE.get(rule.type),
        major=_number(rule.major, f"{where}.major") if numbered else None,
        minor=_number(rule.minor, f"{where}.minor") if numbered else None,
        access=sum(ACCESS[letter] for letter in set(rule.access)),
    )


def _number(number: int | None, where: str) -> int | None:
    if number is None or number == -1:
        return None
    if not 0 <= number <= 0xFFFFFFFF:
        raise InvalidSpec(f"{where}: {number} is not a device number")
    return number


def program(rules: Sequence[Rule]) -> bytes:
    """Compile rules, without the default ones, to BPF instructions.

    From the last rule to the first. r0 is the answer, r1 the question, r2 the access still undecided. A rule that allows
    settles its kinds of access; one that denies ends it if it speaks of any left.
    """
    code = [_load(_ACCESS_REGISTER, 0), _shift_right(_ACCESS_REGISTER, 16)]
    for rule in reversed(rules):
        code += _block(rule)
        if rule.matches_every_device and rule.access == ALL_ACCESS:
            return b"".join(code)  # the verifier refuses instructions that cannot be reached
    code += _UNLESS_NOTHING_IS_LEFT
    return b"".join(code)


def attach(cgroup: Cgroup, rules: Sequence[DeviceRule]) -> None:
    """Put rules, and the default ones, in force for a cgroup and those below, instead of any before them.

    At no time is it without a program. Raises InvalidSpec, and OSError: EPERM without CAP_BPF and CAP_NET_ADMIN.
    """
    program_fd = bpf.load_device_program(program((*parse(rules), *parse(DEFAULT_RULES))), _PROGRAM)
    try:
        cgroup_fd = cgroup.open()
        try:
            _attach_instead(cgroup_fd, program_fd)
        finally:
            os.close(cgroup_fd)
    finally:
        os.close(program_fd)


def _attach_instead(cgroup_fd: int, program_fd: int) -> None:
    before = [bpf.open_program(number) for number in bpf.attached_device_programs(cgroup_fd)]
    try:
        if len(before) == 1:
            bpf.attach_device_program(cgroup_fd, program_fd, Attach.ALLOW_MULTI | Attach.REPLACE, before[0])
            return
        # All of them must agree: while there are two, less is allowed, never more.
        bpf.attach_device_program(cgroup_fd, program_fd, Attach.ALLOW_MULTI)
        for fd in before:
            bpf.detach_device_program(cgroup_fd, fd)
    finally:
        for fd in before:
            os.close(fd)


# -- instructions: struct bpf_insn is opcode, registers (destination in the low half), jump offset, immediate ---------

_ANSWER: Final = 0
_QUESTION: Final = 1
"""struct bpf_cgroup_dev_ctx: access_type (access << 16 | type), major, minor."""
_ACCESS_REGISTER: Final = 2
_FIELD: Final = 3


def _instruction(opcode: int, destination: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhI", opcode, destination | source << 4, offset, immediate & 0xFFFFFFFF)


def _load(destination: int, offset: int) -> bytes:
    return _instruction(0x61, destination, _QUESTION, offset)


def _shift_right(destination: int, count: int) -> bytes:
    return _instruction(0x74, destination, immediate=count)


def _move(destination: int, immediate: int) -> bytes:
    return _instruction(0xB4, destination, immediate=immediate)


def _and(destination: int, immediate: int) -> bytes:
    return _instruction(0x54, destination, immediate=immediate)


def _jump_if_not(register: int, immediate: int, over: int) -> bytes:
    """Skip `over` instructions when the register's low 32 bits differ. BPF_JMP32, Linux 5.1"""
    return _instruction(0x56, register, offset=over, immediate=immediate)


_COPY_ACCESS: Final = _instruction(0xBC, _ANSWER, _ACCESS_REGISTER)
_EXIT: Final = _instruction(0x95)


def _jump_if(register: int, immediate: int, over: int) -> bytes:
    return _instruction(0x16, register, offset=over, immediate=immediate)


def _block(rule: Rule) -> list[bytes]:
    """Tests that skip to the next rule, then what this one does."""
    block = _allowing(rule) if rule.allow else _denying(rule)
    for value, loading in (
        (rule.minor, [_load(_FIELD, 8)]),
        (rule.major, [_load(_FIELD, 4)]),
        (rule.type, [_load(_FIELD, 0), _and(_FIELD, 0xFFFF)]),
    ):
        if value is not None:
            # Loaded anew for each test. A value kept from the rule before would be known to the verifier where that
            # matched, and it would follow each such case by itself: the square of the rules, not their number.
            block = [*loading, _jump_if_not(_FIELD, value, len(block)), *block]
    return block


def _allowing(rule: Rule) -> list[bytes]:
    allowed = [_move(_ANSWER, 1), _EXIT]
    if rule.access == ALL_ACCESS:
        return allowed
    return [_and(_ACCESS_REGISTER, ~rule.access), _jump_if_not(_ACCESS_REGISTER, 0, 2), *allowed]


def _denying(rule: Rule) -> list[bytes]:
    if rule.access == ALL_ACCESS:
        return [*_UNLESS_NOTHING_IS_LEFT]
    return [_COPY_ACCESS, _and(_ANSWER, rule.access), _jump_if(_ANSWER, 0, 2), _move(_ANSWER, 0), _EXIT]


_UNLESS_NOTHING_IS_LEFT: Final = (_move(_ANSWER, 0), _jump_if_not(_ACCESS_REGISTER, 0, 1), _move(_ANSWER, 1), _EXIT)
"""Deny, unless all that was asked for has been allowed."""
