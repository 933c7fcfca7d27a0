"""The sources of bind mounts, opened by the parent: init may not walk through the host's private directories.

Each is a detached copy of the mount with its attributes applied, and idmapped where the document asks for that.
"""

from __future__ import annotations

import errno
import os
from typing import Protocol

from aethel_common.errors import InvalidSpec, NotFound, Unsupported
from aethel_common.linux import mounts
from aethel_common.linux.mounts import MountAttr
from aethel_run.init import trees
from aethel_run.process.mount_ids import MountIds
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.mounts import Meaning, Mount, meaning


class Clone(Protocol):
    """How a source is copied."""

    def __call__(self, path: str, *, recursive: bool) -> int:
        """A detached mount; the caller's. Raises OSError."""


def open_sources(spec: Spec, userns_fd: int | None, bundle: str = "/", clone: Clone = trees.clone) -> dict[int, int]:
    """Every source that the document binds, by the mount's index; all are the caller's.

    What this process has no privilege to copy (rootless) is left out: init, who has it in its own namespaces, does it.
    Raises NotFound, InvalidSpec, Unsupported (cannot be idmapped), OSError; then none is left open.
    """
    # Peers of the host's mounts must not get into the hands of a less privileged user namespace.
    keep_peers = trees.keeps_peers(spec.linux.rootfs_propagation) and not spec.linux.has(NamespaceType.USER)
    opened: dict[int, int] = {}
    try:
        with MountIds() as ids:
            for index, mount in enumerate(spec.mounts):
                words = meaning(mount)
                if words.needs_source:
                    map_fd = _map(mount, words, userns_fd, ids)
                    fd = _open_if_allowed(mount, map_fd, bundle, keep_peers, clone)
                    if fd is not None:
                        opened[index] = fd
    except BaseException:
        for fd in opened.values():
            os.close(fd)
        raise
    return opened


def needs_sources(spec: Spec) -> bool:
    """Whether the document binds anything."""
    return any(meaning(mount).needs_source for mount in spec.mounts)


def open_source(
    mount: Mount,
    map_fd: int | None = None,
    bundle: str = "/",
    *,
    keep_peers: bool = False,
    clone: Clone = trees.clone,
) -> int:
    """A detached mount of one source; the caller's. A relative one is taken from the bundle.

    `map_fd`: the user namespace whose mappings an `idmap` applies. Raises NotFound, Unsupported, OSError.
    """
    words = meaning(mount)
    path = os.path.join(bundle, mount.source)
    try:
        fd = clone(path, recursive=words.recursive)
    except FileNotFoundError:
        raise NotFound(f"bind source {path} does not exist") from None
    try:
        if not keep_peers:
            trees.isolate(fd)
        trees.set_attributes(fd, words)
        if words.idmap:
            _idmap(fd, path, words, map_fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open_if_allowed(mount: Mount, map_fd: int | None, bundle: str, keep_peers: bool, clone: Clone) -> int | None:
    try:
        return open_source(mount, map_fd, bundle, keep_peers=keep_peers, clone=clone)
    except PermissionError as error:
        if error.errno == errno.EPERM and map_fd is None:
            return None
        raise


def _map(mount: Mount, words: Meaning, userns_fd: int | None, ids: MountIds) -> int | None:
    """Whose mappings apply: the mount's own, or the container's."""
    if not words.idmap:
        return None
    return ids.of(mount) if mount.uid_mappings else userns_fd


def _idmap(fd: int, path: str, words: Meaning, map_fd: int | None) -> None:
    if map_fd is None:
        raise InvalidSpec(f"{path}: idmap without mappings needs a user namespace")
    scope = mounts.AT_EMPTY_PATH | (mounts.AT_RECURSIVE if words.idmap_recursive else 0)
    try:
        mounts.mount_setattr(fd, "", scope, attr_set=MountAttr.IDMAP, userns_fd=map_fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise Unsupported(
            f"{path} is on {file_system(path)}, which cannot be idmapped",
            hint="`--userns host` runs it without a user namespace",
        ) from error


def file_system(path: str) -> str:
    """The type of the file system that holds `path`. man 5 proc (mountinfo)"""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if left.split()[2] == wanted:
                return right.split()[0]
    return "an unknown file system"
