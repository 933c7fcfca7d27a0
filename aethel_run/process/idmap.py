"""Give a new user namespace its maps. man 7 user_namespaces"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from aethel_common.errors import NotPermitted, Unsupported
from aethel_run.spec.linux import IdMapping, Linux


def write_maps(pid: int, linux: Linux) -> None:
    """Write gid_map and uid_map of that process. Raises OSError with the file's path, Unsupported.

    A user without privilege may map his own ids, and give up setgroups for it; what more he may is written in
    /etc/subuid and /etc/subgid, and known to newuidmap and newgidmap alone. man 1 newuidmap
    """
    _write_map(pid, "gid_map", "newgidmap", linux.gid_mappings, own=os.getegid())
    _write_map(pid, "uid_map", "newuidmap", linux.uid_mappings, own=os.geteuid())


def _write_map(pid: int, file: str, helper: str, mappings: Sequence[IdMapping], *, own: int) -> None:
    if os.geteuid() == 0:
        _write(f"/proc/{pid}/{file}", _lines(mappings))
    elif [(mapping.host_id, mapping.size) for mapping in mappings] == [(own, 1)]:
        if file == "gid_map":
            _write(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/{file}", _lines(mappings))
    else:
        _by_helper(helper, pid, mappings)


def _by_helper(helper: str, pid: int, mappings: Sequence[IdMapping]) -> None:
    numbers = [str(number) for m in mappings for number in (m.container_id, m.host_id, m.size)]
    try:
        child = os.posix_spawnp(helper, [helper, str(pid), *numbers], os.environ)
    except FileNotFoundError:
        raise Unsupported(f"{helper} is needed to map more than one's own id", hint="apt-get install uidmap") from None
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise NotPermitted(f"{helper} refuses {' '.join(numbers)}", hint="see /etc/subuid and /etc/subgid")


def on_host(inside: int, mappings: Iterable[IdMapping]) -> int | None:
    """The host's id for one of the container; None when it has none."""
    for mapping in mappings:
        if mapping.container_id <= inside < mapping.container_id + mapping.size:
            return mapping.host_id + inside - mapping.container_id
    return None


def _lines(mappings: Iterable[IdMapping]) -> str:
    return "".join(f"{m.container_id} {m.host_id} {m.size}\n" for m in mappings)


def _write(path: str, text: str) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(text.encode())
