"""Give a new user namespace its maps. man 7 user_namespaces"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from aethel_common.errors import NotPermitted, Unsupported
from aethel_common.linux import calls
from aethel_run.spec.linux import IdMapping, Linux, NamespaceType
from aethel_run.story import act


@act(
    man="user_namespaces(7) newuidmap(1)",
    when=lambda spec: spec.linux.makes(NamespaceType.USER),
    only="with a user namespace of its own",
)
def write_maps(pid: int, linux: Linux) -> None:
    """Tell the kernel which of the host's ids those of the new user namespace are.

    A user without privilege may map his own ids, and give up setgroups for it; what more he may is written in
    /etc/subuid and /etc/subgid, and known to newuidmap and newgidmap alone. Raises OSError with
    the file's path, NotPermitted, Unsupported.
    """
    _write_map(pid, "gid_map", "newgidmap", linux.gid_mappings, own=os.getegid())
    _write_map(pid, "uid_map", "newuidmap", linux.uid_mappings, own=os.geteuid())


def _write_map(pid: int, file: str, helper: str, mappings: Sequence[IdMapping], *, own: int) -> None:
    if os.geteuid() == 0:
        calls.write_file(f"/proc/{pid}/{file}", _lines(mappings))
    elif [(mapping.host_id, mapping.size) for mapping in mappings] == [(own, 1)]:
        if file == "gid_map":
            calls.write_file(f"/proc/{pid}/setgroups", b"deny")
        calls.write_file(f"/proc/{pid}/{file}", _lines(mappings))
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


def _lines(mappings: Iterable[IdMapping]) -> bytes:
    return b"".join(b"%d %d %d\n" % (m.container_id, m.host_id, m.size) for m in mappings)
