"""Give a new user namespace its maps. man 7 user_namespaces"""

from __future__ import annotations

from collections.abc import Iterable

from aethel_common.linux import calls
from aethel_run.spec.linux import IdMapping, Linux, NamespaceType
from aethel_run.story import act


@act(
    man="user_namespaces(7)",
    when=lambda spec: spec.linux.makes(NamespaceType.USER),
    only="with a user namespace of its own",
)
def write_maps(pid: int, linux: Linux) -> None:
    """Tell the kernel which of the host's ids those of the new user namespace are.

    Raises OSError with the file's path.
    """
    calls.write_file(f"/proc/{pid}/gid_map", _lines(linux.gid_mappings))
    calls.write_file(f"/proc/{pid}/uid_map", _lines(linux.uid_mappings))


def on_host(inside: int, mappings: Iterable[IdMapping]) -> int | None:
    """The host's id for one of the container; None when it has none."""
    for mapping in mappings:
        if mapping.container_id <= inside < mapping.container_id + mapping.size:
            return mapping.host_id + inside - mapping.container_id
    return None


def _lines(mappings: Iterable[IdMapping]) -> bytes:
    return b"".join(b"%d %d %d\n" % (m.container_id, m.host_id, m.size) for m in mappings)
