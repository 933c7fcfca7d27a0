"""Settings that the kernel keeps for it: sysctls, resource limits, file systems in memory, umask."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import click

from aethel_cli.client import pb
from aethel_cli.options.pairs import pairs
from aethel_common.errors import InvalidArgument
from aethel_common.units import parse_bytes

UNLIMITED: Final = 2**64 - 1

OPTIONS: Final = (
    click.option("--sysctl", multiple=True, metavar="K=V", help="Set a kernel parameter of its namespaces."),
    click.option("--ulimit", multiple=True, metavar="NAME=SOFT[:HARD]", help="Limit a resource; -1 is without limit."),
    click.option("--shm-size", default="", metavar="SIZE", help="Of /dev/shm, such as 128m; 64m otherwise."),
    click.option(
        "--tmpfs", multiple=True, metavar="PATH[:OPTIONS]", help="A file system in memory, such as /run:size=1m,exec."
    ),
    click.option("--umask", default="", metavar="OCTAL", help="Mode bits that new files lack; 0022 otherwise."),
)
_ULIMIT: Final = re.compile(r"([a-z]{1,16})=(-1|[0-9]{1,20})(?::(-1|[0-9]{1,20}))?")


class Ulimit(NamedTuple):
    """UNLIMITED is none."""

    name: str
    soft: int
    hard: int


def ulimit(text: str) -> Ulimit:
    """`nofile=1024:2048`; without a second number the first is both. Raises InvalidArgument."""
    match = _ULIMIT.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"bad --ulimit {text!r}", hint="NAME=SOFT[:HARD], numbers or -1")
    soft = _limit(match[2], text)
    return Ulimit(match[1], soft, _limit(match[3], text) if match[3] else soft)


def _limit(number: str, text: str) -> int:
    if int(number) > UNLIMITED:
        raise InvalidArgument(f"bad --ulimit {text!r}: {number} has more than 64 bits")
    return UNLIMITED if number == "-1" else int(number)


def tmpfs(texts: Iterable[str]) -> dict[str, str]:
    """Where, and the options. Raises InvalidArgument for a relative path, the root, or a place named twice."""
    found: dict[str, str] = {}
    for text in texts:
        path, _, options = text.partition(":")
        if not path.startswith("/"):
            raise InvalidArgument(f"bad --tmpfs {text!r}: {path!r} is not an absolute path")
        path = "/" + posixpath.normpath(path).strip("/")
        if path == "/" or path in found:
            raise InvalidArgument(f"bad --tmpfs {text!r}: {path} {'twice' if path in found else 'is the root'}")
        found[path] = options
    return found


def shm_size(text: str) -> int:
    """In bytes; 0 when nothing was said. Raises InvalidArgument."""
    size = parse_bytes(text, "--shm-size") if text else 0
    if text and not size:
        raise InvalidArgument(f"bad --shm-size {text!r}: nothing would fit")
    return size


def umask(text: str) -> int | None:
    """None when nothing was said. Raises InvalidArgument."""
    if not text:
        return None
    if not re.fullmatch("0?[0-7]{1,3}", text):
        raise InvalidArgument(f"bad --umask {text!r}", hint="octal, 0 to 0777")
    return int(text, 8)


def fill(request: pb.CreateContainerRequest, options: dict[str, Any]) -> None:
    """Raises InvalidArgument."""
    request.sysctl.update(pairs("sysctl", options["sysctl"], value_needed=True))
    for each in map(ulimit, options["ulimit"]):
        request.ulimits.append(pb.Ulimit(name=each.name, soft=each.soft, hard=each.hard))
    request.shm_size = shm_size(options["shm_size"])
    request.tmpfs.update(tmpfs(options["tmpfs"]))
    mask = umask(options["umask"])
    if mask is not None:
        request.umask = mask
