"""Limits and device rules as properties of a systemd unit (pure). man 5 systemd.resource-control

systemd puts back what it knows of at each reload, so what has a property must be told to it and nothing else; files
without one are written by us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_run.cgroup import devices
from aethel_run.cgroup.devices import ALL_ACCESS, BLOCK, CHARACTER, Rule
from aethel_run.cgroup.files import Write
from aethel_run.spec.resources import DeviceRule

Property = tuple[str, tuple[str, object]]
"""A name and a D-Bus variant: signature and value."""

INFINITY: Final = (1 << 64) - 1
_NUMBERS: Final = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
    "io.weight": "IOWeight",
}
_SETS: Final = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}
_IDLE_SINCE: Final = 252
_OOM_POLICY_SINCE: Final = 253
_SUFFIX: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_PERCENT: Final = 10_000
"""Of a second, in microseconds: systemd keeps whole ones across a reload."""


def render(writes: Iterable[Write], version: int) -> tuple[tuple[Property, ...], tuple[Write, ...]]:
    """What systemd of that version can be told, and what is left to be written; a later line wins over an earlier."""
    properties: dict[str, Property] = {}
    rest: list[Write] = []
    for write in writes:
        found = _properties(_plain(write), version)
        if not found:
            rest.append(write)
        for each in found:
            properties[each[0]] = each
    return tuple(properties.values()), tuple(rest)


def oom_policy(writes: Iterable[Write], version: int) -> tuple[Property, ...]:
    """What a new scope is told of memory.oom.group, which systemd sets again at a reload; it cannot be changed later.

    One before 253 has no word for it, and puts the kernel's default back.
    """
    texts = [write.text.strip() for write in writes if write.file == "memory.oom.group"]
    if not texts or version < _OOM_POLICY_SINCE:
        return ()
    return (("OOMPolicy", ("s", "kill" if texts[-1] == "1" else "continue")),)


def _plain(write: Write) -> Write:
    """systemd keeps BFQ's weight in step with the cost model's by itself."""
    weighs_all = write.file == "io.bfq.weight" and " " not in write.text
    return write.instead if weighs_all and write.instead is not None else write


def _properties(write: Write, version: int) -> tuple[Property, ...]:
    """Empty for a file, or a text, that has no property."""
    text = write.text.strip()
    if write.file in _NUMBERS:
        number = _number(text)
        return () if number is None else ((_NUMBERS[write.file], ("t", number)),)
    if write.file in _SETS:
        return ((_SETS[write.file], ("ay", bits(text))),)
    if write.file == "cpu.max":
        return _quota(text)
    if write.file == "cpu.idle" and text == "1" and version >= _IDLE_SINCE:
        return (("CPUWeight", ("t", 0)),)
    return ()


def _number(text: str) -> int | None:
    """As the kernel reads it: "max", or bytes with a suffix."""
    if text == "max":
        return INFINITY
    match = re.fullmatch(r"([0-9]+)([KMGT]?)", text.upper())
    return None if match is None else int(match[1]) * _SUFFIX[match[2]]


def _quota(text: str) -> tuple[Property, ...]:
    match = re.fullmatch(r"(max|[0-9]+)(?: ([0-9]+))?", text)
    if match is None or match[2] == "0":
        return ()
    period = int(match[2] or 100_000)
    per_second = INFINITY
    if match[1] != "max":
        per_second = -(-int(match[1]) * 1_000_000 // (period * _PERCENT)) * _PERCENT
    return (("CPUQuotaPeriodUSec", ("t", period)), ("CPUQuotaPerSecUSec", ("t", per_second)))


def bits(ranges: str) -> bytes:
    """`0-3,7` as a mask, the first CPU in the first byte's lowest bit. Raises InvalidSpec."""
    mask = 0
    for part in filter(None, (each.strip() for each in ranges.split(","))):
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InvalidSpec(f"linux.resources.cpu: {ranges!r} is not a list such as 0-3,7")
        for number in range(int(match[1]), int(match[2] or match[1]) + 1):
            mask |= 1 << number
    return mask.to_bytes(max((mask.bit_length() + 7) // 8, 1), "little")


def device_properties(rules: Sequence[DeviceRule]) -> tuple[Property, ...]:
    """DevicePolicy and DeviceAllow. Raises InvalidSpec, and Unsupported for rules that are no list of what is allowed."""
    allowed = _allow_list((*devices.parse(rules), *devices.parse(devices.DEFAULT_RULES)))
    if allowed is None:
        return (("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", [])))
    entries = [(name, _letters(rule.access)) for rule in allowed for name in _names(rule)]
    return (("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", entries)))


def _allow_list(rules: Iterable[Rule]) -> list[Rule] | None:
    """The rules without those that deny; None when everything is allowed."""
    allowed: list[Rule] = []
    everything = False
    for rule in rules:
        if rule.matches_every_device and rule.access == ALL_ACCESS:
            allowed, everything = [], rule.allow
        elif rule.allow:
            allowed.append(rule)
        elif everything:
            raise Unsupported("linux.resources.devices: systemd can deny nothing where all else is allowed")
        else:
            allowed = [left for each in allowed if (left := _without(each, rule)).access]
    return None if everything else allowed


def _without(allowed: Rule, denied: Rule) -> Rule:
    """One rule after another took some of it away."""
    fields = ((allowed.type, denied.type), (allowed.major, denied.major), (allowed.minor, denied.minor))
    if any(None not in pair and pair[0] != pair[1] for pair in fields) or not allowed.access & denied.access:
        return allowed
    if any(given is None and taken is not None for given, taken in fields):
        raise Unsupported("linux.resources.devices: systemd cannot deny a part of the devices that another rule allows")
    return replace(allowed, access=allowed.access & ~denied.access)


def _letters(access: int) -> str:
    return "".join(letter for letter in "rwm" if access & devices.ACCESS[letter])


def _names(rule: Rule) -> Iterable[str]:
    """As in man 5 systemd.resource-control, DeviceAllow=."""
    for kind, word in ((CHARACTER, "char"), (BLOCK, "block")):
        if rule.type not in (None, kind):
            continue
        if rule.major is None and rule.minor is not None:
            raise Unsupported(f"linux.resources.devices: systemd cannot allow minor {rule.minor} of every major number")
        if rule.major is None:
            yield f"{word}-*"
        elif rule.minor is None:
            yield f"{word}-{rule.major}"
        else:
            yield f"/dev/{word}/{rule.major}:{rule.minor}"
