"""Sysctls and resource limits that may be asked for, in the document's terms. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from aethel_common.errors import InvalidArgument
from aethel_common.linux.resources import Rlimit as Kind
from aethel_d.engine.asked import Ulimit
from aethel_run.spec.process import Rlimit

_PREFIX: Final = "RLIMIT_"
_KEY: Final = re.compile(r"[a-zA-Z0-9_-]+([./][a-zA-Z0-9_-]+)+")
_IPC: Final = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)


def sysctl_owner(key: str) -> str:
    """The namespace that a sysctl belongs to: "network" or "ipc". Raises InvalidArgument for one of the whole host."""
    dotted = key.replace("/", ".")
    if _KEY.fullmatch(key):
        if dotted.startswith("net."):
            return "network"
        if dotted in _IPC or dotted.startswith("fs.mqueue."):
            return "ipc"
    raise InvalidArgument(
        f"sysctl {key!r} may not be set for a container",
        hint="net.*, fs.mqueue.*, kernel.msg*, kernel.sem and kernel.shm* may",
    )


def check_sysctl(settings: Mapping[str, str], own: frozenset[str]) -> None:
    """`own`: the namespaces that the container has to itself. Raises InvalidArgument."""
    for key, value in settings.items():
        owner = sysctl_owner(key)
        if owner not in own:
            raise InvalidArgument(f"sysctl {key!r} goes with a private {owner} namespace")
        if not value or any(character < " " and character != "\t" for character in value):
            raise InvalidArgument(f"sysctl {key!r}: bad value {value!r}")


def rlimits(asked: Iterable[Ulimit]) -> tuple[Rlimit, ...]:
    """Of one kind the last counts. Raises InvalidArgument for an unknown one, or a soft limit above the hard one."""
    found: dict[str, Rlimit] = {}
    for each in asked:
        kind = _PREFIX + each.name.upper()
        if kind not in Kind.__members__ or each.name != each.name.lower():
            names = " ".join(sorted(name.removeprefix(_PREFIX).lower() for name in Kind.__members__))
            raise InvalidArgument(f"unknown ulimit {each.name!r}", hint=names)
        if each.soft > each.hard:
            raise InvalidArgument(f"ulimit {each.name}: {each.soft} is above the hard limit {each.hard}")
        found[kind] = Rlimit(type=kind, soft=each.soft, hard=each.hard)
    return tuple(found[kind] for kind in sorted(found))
