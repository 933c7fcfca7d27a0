"""What was asked about privileges, in the document's terms: capabilities, covered paths. Docker's rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from aethel_common.errors import InvalidArgument
from aethel_common.linux.capabilities import Capability
from aethel_d.engine.asked import ALL, Privileges
from aethel_run.spec.linux import Linux
from aethel_run.spec.template import DEFAULT_CAPABILITIES

UNCONFINED = "unconfined"
BUILTIN = "builtin"


def capability_name(text: str) -> str:
    """`net_admin`, `NET_ADMIN` and `CAP_NET_ADMIN` are one; ALL stays. Raises InvalidArgument for what is neither."""
    name = text.upper()
    if name == ALL:
        return name
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in Capability.__members__:
        raise InvalidArgument(f"unknown capability {text!r}", hint="names such as NET_ADMIN, or ALL")
    return name


def capabilities(asked: Privileges) -> tuple[str, ...]:
    """What a program may ever have. ALL added: all but what is dropped. ALL dropped: only what is added."""
    everything = set(Capability.__members__)
    added, dropped = set(asked.cap_add), set(asked.cap_drop)
    if ALL in added:
        kept = everything - dropped
    elif ALL in dropped:
        kept = added
    else:
        kept = ((everything if asked.privileged else set(DEFAULT_CAPABILITIES)) - dropped) | added
    return tuple(sorted(kept))


def hidden_paths(asked: Privileges, base: Linux) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Masked and read-only paths. Raises InvalidArgument for a path that is not absolute, or not hidden anyway."""
    for path in (*asked.mask, *(pattern for pattern in asked.unmask if pattern != ALL)):
        if not path.startswith("/") or "\0" in path:
            raise InvalidArgument(f"mask and unmask: {path!r} is not an absolute path")
    hidden = (*base.masked_paths, *base.readonly_paths)
    for pattern in asked.unmask:
        if pattern != ALL and not any(_matches(path, pattern) for path in hidden):
            raise InvalidArgument(f"unmask: {pattern} is neither masked nor read-only")
    everything = asked.privileged or ALL in asked.unmask
    masked = () if everything else _without(base.masked_paths, asked.unmask)
    read_only = () if everything else _without(base.readonly_paths, asked.unmask)
    return (*masked, *(path for path in asked.mask if path not in masked)), read_only


def _without(paths: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    unwanted = tuple(patterns)
    return tuple(path for path in paths if not any(_matches(path, pattern) for pattern in unwanted))


def _matches(path: str, pattern: str) -> bool:
    return PurePosixPath(path).match(pattern)
