"""--device and --device-cgroup-rule."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import click

from aethel_cli.client import pb
from aethel_common.errors import InvalidArgument

OPTIONS: Final = (
    click.option(
        "--device", multiple=True, metavar="HOST[:IN[:rwm]]", help="Give it a device, or all below a directory."
    ),
    click.option(
        "--device-cgroup-rule", multiple=True, metavar="RULE", help="Allow more of devices, such as 'c 10:229 rw'."
    ),
)
_RULE: Final = re.compile(r"([abc]) ([0-9]{1,7}|\*):([0-9]{1,7}|\*) ([rwm]{1,3})")


class Request(NamedTuple):
    """A device, where it goes, and what may be done with it."""

    host: str
    inside: str
    access: str


class Rule(NamedTuple):
    """None is every number."""

    type: str
    major: int | None
    minor: int | None
    access: str


def device(text: str) -> Request:
    """HOST, HOST:IN, HOST:rwm or HOST:IN:rwm. Raises InvalidArgument."""
    host, *rest = text.split(":")
    access = rest.pop() if rest and (len(rest) == 2 or _is_access(rest[-1])) else "rwm"
    inside = rest.pop() if rest else host
    if rest or not _is_access(access) or not all(_is_plain(path) for path in (host, inside)):
        raise InvalidArgument(f"bad --device {text!r}", hint="absolute paths and r, w, m: /dev/x, /dev/x:/dev/y:rw")
    return Request(host, inside, access)


def rule(text: str) -> Rule:
    """`TYPE MAJOR:MINOR ACCESS`. Raises InvalidArgument."""
    match = _RULE.fullmatch(text)
    if match is None or not _is_access(match[4]):
        raise InvalidArgument(f"bad --device-cgroup-rule {text!r}", hint="such as 'c 10:229 rw' or 'b 8:* r'")
    kind, major, minor, access = match.groups()
    return Rule(kind, _number(major), _number(minor), access)


def _number(text: str) -> int | None:
    return None if text == "*" else int(text)


def _is_access(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def _is_plain(path: str) -> bool:
    return path.startswith("/") and not {".", ".."} & set(path.split("/"))


def fill(request: pb.CreateContainerRequest, options: dict[str, Any]) -> None:
    """Raises InvalidArgument."""
    for each in map(device, options["device"]):
        request.devices.append(pb.DeviceRequest(host_path=each.host, container_path=each.inside, access=each.access))
    for asked in map(rule, options["device_cgroup_rule"]):
        request.device_rules.append(
            pb.DeviceRule(type=asked.type, major=asked.major, minor=asked.minor, access=asked.access)
        )
