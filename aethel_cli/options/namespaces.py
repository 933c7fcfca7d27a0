"""Whose namespaces it is in: its own, the host's, another container's."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import click

from aethel_cli.client import pb
from aethel_common.errors import InvalidArgument

_MAPPING: Final = re.compile(r"([0-9]{1,10}):([0-9]{1,10}):([0-9]{1,10})")
_WHOSE: Final = "private|host|container:NAME"

OPTIONS: Final = (
    click.option("--network", "--net", default="bridge", metavar="MODE", help="bridge, none, host or container:NAME."),
    click.option(
        "--userns",
        default="",
        metavar="MODE",
        help="Whose user ids: private (65536 of its own; the default), auto[:size=N,uidmapping=C:H:N,gidmapping=C:H:N], "
        "host, or container:NAME.",
    ),
    click.option("--pid", default="private", metavar="MODE", help=f"Whose processes it sees: {_WHOSE}."),
    click.option("--ipc", default="private", metavar="MODE", help="Whose shared memory and queues: likewise."),
    click.option("--uts", default="private", metavar="MODE", help="Whose host name: likewise."),
    click.option("--cgroupns", default="private", metavar="MODE", help="Whose view of cgroups: likewise."),
)


class Mapping(NamedTuple):
    """Ids inside and on the host, and how many."""

    inside: int
    host: int
    size: int


class Users(NamedTuple):
    """--userns, taken apart."""

    mode: str
    size: int = 0
    uid_mappings: tuple[Mapping, ...] = ()
    gid_mappings: tuple[Mapping, ...] = ()


def share(option: str, text: str, others: tuple[str, ...] = ("private", "host")) -> str:
    """The text, if it is one of `others`, or `container:` and a name. Raises InvalidArgument."""
    kind, _, name = text.partition(":")
    if text in others or (kind == "container" and name):
        return text
    raise InvalidArgument(f"{option} {text!r}: not one of {', '.join(others)}, container:NAME")


def users(text: str) -> Users:
    """Podman's grammar of `auto`, and the plain words. Raises InvalidArgument."""
    mode, colon, rest = text.partition(":")
    if mode != "auto":
        return Users(share("--userns", text, ("private", "host", "auto")) if text else "")
    size = 0
    mappings: dict[str, list[Mapping]] = {"uidmapping": [], "gidmapping": []}
    for entry in rest.split(",") if colon else ():
        key, _, value = entry.partition("=")
        if key == "size" and re.fullmatch("[1-9][0-9]{0,9}", value) and not size:
            size = _number(value)
        elif key in mappings:
            mappings[key].append(_mapping(value))
        else:
            raise InvalidArgument(
                f"--userns auto: bad option {entry!r}", hint="size=N, uidmapping=C:H:N or gidmapping=C:H:N"
            )
    return Users(mode, size, tuple(mappings["uidmapping"]), tuple(mappings["gidmapping"]))


def _mapping(text: str) -> Mapping:
    match = _MAPPING.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"--userns auto: {text!r} is not container id, host id and number, with colons between")
    return Mapping(*(_number(part) for part in match.groups()))


def _number(text: str) -> int:
    if int(text) >= 2**32:
        raise InvalidArgument(f"--userns auto: {text} is more than there are ids")
    return int(text)


def fill(request: pb.CreateContainerRequest, options: dict[str, Any]) -> None:
    """Raises InvalidArgument."""
    request.network = share("--network", options["network"], ("bridge", "none", "host"))
    for name in ("pid", "ipc", "uts", "cgroupns"):
        setattr(request, name, share(f"--{name}", options[name]))
    wanted = users(options["userns"])
    request.user_namespace, request.id_range_size = wanted.mode, wanted.size
    for field, mappings in (
        (request.uid_mappings, wanted.uid_mappings),
        (request.gid_mappings, wanted.gid_mappings),
    ):
        field.extend(pb.IdMapping(container_id=each.inside, host_id=each.host, size=each.size) for each in mappings)
