"""The mounts of a container that depend on what was asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from aethel_common.errors import InvalidArgument
from aethel_d.engine.asked import DEFAULT_SHM_SIZE, IdMap, ShareMode
from aethel_d.engine.idmap import on_host
from aethel_d.engine.model import Container
from aethel_run.spec.mounts import Mount

SHM: Final = "/dev/shm"  # noqa: S108 -- the container's
_TMPFS_WORDS: Final = frozenset(
    "rw ro suid nosuid dev nodev exec noexec atime noatime diratime nodiratime relatime strictatime tmpcopyup".split()
)
_TMPFS_VALUES: Final = {
    "size": r"[0-9]{1,18}[kKmMgG]?|[0-9]{1,3}%",
    "nr_blocks": r"[0-9]{1,18}[kKmMgG]?",
    "nr_inodes": r"[0-9]{1,18}[kKmMgG]?",
    "mode": r"[0-7]{3,4}",
    "uid": r"[0-9]{1,9}",
    "gid": r"[0-9]{1,9}",
}
_KERNEL_S_OWN: Final = ("/proc", "/sys")
_OURS: Final = frozenset({"/dev", "/dev/pts", "/dev/mqueue"})


def kernel_mounts(base: tuple[Mount, ...], container: Container, *, shm: str, has_mqueue: bool) -> tuple[Mount, ...]:
    """/proc, /dev, /sys and what is below them, as this container may have them; `shm` is a /dev/shm that it shares."""
    left_out = set(container.config.kernel.tmpfs)
    if _sees_queues_of_the_host(container) and not has_mqueue:
        left_out.add("/dev/mqueue")
    adapted = (_adapted(mount, container) for mount in base if mount.destination not in left_out)
    return tuple(_shared_shm(shm) if shm and mount.destination == SHM else mount for mount in adapted)


def _sees_queues_of_the_host(container: Container) -> bool:
    """A user namespace of its own may not mount them, only be shown where the host has them mounted."""
    return container.config.namespaces.ipc.mode is ShareMode.HOST and container.id_base is not None


def _shared_shm(source: str) -> Mount:
    # Not idmapped: who owns a segment is judged by the same ids on both sides.
    return Mount(destination=SHM, type="bind", source=source, options=("bind", "rprivate", "nosuid", "noexec", "nodev"))


def tmpfs_mounts(asked: Mapping[str, str]) -> tuple[Mount, ...]:
    """Those asked for, the outer ones first. Raises InvalidArgument."""
    order = sorted(asked, key=lambda path: (path.count("/"), path))
    return tuple(_tmpfs(path, asked[path]) for path in order)


def _adapted(mount: Mount, container: Container) -> Mount:
    config = container.config
    match mount.destination:
        case "/sys" | "/sys/fs/cgroup" if config.privileges.privileged:
            return _changed(mount, without=("ro",))
        case "/dev/shm":  # noqa: S108
            size = config.kernel.shm_size or DEFAULT_SHM_SIZE
            return _changed(mount, without=("size=65536k",), also=(f"size={size}",))
        case "/dev/pts" if not _is_mapped(5, container.gid_map):
            return _changed(mount, without=("gid=5",))
    return mount


def _is_mapped(group: int, maps: tuple[IdMap, ...]) -> bool:
    return not maps or on_host(group, maps) is not None


def _changed(mount: Mount, *, without: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> Mount:
    options = (*(word for word in mount.options if word not in without), *also)
    return msgspec.structs.replace(mount, options=options)


def _tmpfs(path: str, options: str) -> Mount:
    where = f"tmpfs {path}"
    if not path.startswith("/") or "\0" in path or "//" in path or path.endswith("/"):
        raise InvalidArgument(f"{where}: not an absolute path below the root, without a slash at its end")
    if {".", ".."} & set(path.split("/")):
        raise InvalidArgument(f"{where}: has . or .. in it")
    if path in _OURS or any(path == own or path.startswith(f"{own}/") for own in _KERNEL_S_OWN):
        raise InvalidArgument(f"{where}: a container cannot do without what is there")
    words = tuple(word for word in options.split(",") if word)
    for word in words:
        _check_word(word, where)
    return Mount(destination=path, type="tmpfs", source="tmpfs", options=("noexec", "nosuid", "nodev", *words))


def _check_word(word: str, where: str) -> None:
    key, equals, value = word.partition("=")
    if not equals and word in _TMPFS_WORDS:
        return
    if equals and key in _TMPFS_VALUES and re.fullmatch(_TMPFS_VALUES[key], value):
        return
    known = " ".join((*sorted(_TMPFS_WORDS), *(f"{key}=" for key in _TMPFS_VALUES)))
    raise InvalidArgument(f"{where}: bad option {word!r}", hint=known)
