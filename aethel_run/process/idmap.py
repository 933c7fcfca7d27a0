"""Give a new user namespace its maps. man 7 user_namespaces"""

from __future__ import annotations

from collections.abc import Iterable

from aethel_run.spec.linux import IdMapping, Linux


def write_maps(pid: int, linux: Linux) -> None:
    """Write gid_map and uid_map of that process. Raises OSError with the file's path."""
    _write(f"/proc/{pid}/gid_map", _lines(linux.gid_mappings))
    _write(f"/proc/{pid}/uid_map", _lines(linux.uid_mappings))


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
