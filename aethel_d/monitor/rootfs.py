"""The container's root: an overlay over layers whose files appear owned by the container's own ids.

It is made as a detached mount, so that no mount table but the container's ever shows it, and it is gone with the
container whatever else dies. The tree with all layers is idmapped once, as a whole: nothing is copied or chowned. The
upper directory is not: overlayfs itself makes files there as the host's root, whom the map does not know. It holds the
host's ids, which are the container's for its whole life.

man 2 mount_setattr ("ID-mapped mounts"); kernel Documentation/filesystems/overlayfs.rst
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from aethel_common.errors import Unsupported
from aethel_common.linux import mounts
from aethel_common.linux.mounts import FsConfig, MountAttr, MoveMount, OpenTree, UmountFlags
from aethel_run.process.sources import file_system

_HINT = "`--userns host` runs it without a user namespace"


def open_overlay(layers: str, lower: Sequence[str], upper: str, work: str, userns_fd: int | None) -> int:
    """A detached overlay; the caller owns the descriptor. `lower` is relative to `layers`, the topmost first.

    Needs a mount namespace that may be changed: while the overlay is made, the idmapped tree is mounted over
    `layers` there. Raises OSError, or Unsupported when the file system cannot be idmapped.
    """
    tree_fd = _open_tree(layers, userns_fd)
    try:
        mounts.move_mount(tree_fd, "", mounts.AT_FDCWD, layers, MoveMount.F_EMPTY_PATH)
        before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Relative names keep the options short: a page holds them all on kernels without `lowerdir+`.
            os.fchdir(tree_fd)
            return _mount_overlay(lower, upper, work)
        finally:
            os.fchdir(before)
            os.close(before)
            mounts.umount2(layers, UmountFlags.DETACH)
    finally:
        os.close(tree_fd)


def _open_tree(path: str, userns_fd: int | None) -> int:
    fd = mounts.open_tree(mounts.AT_FDCWD, path, OpenTree.CLONE | OpenTree.CLOEXEC)
    if userns_fd is None:
        return fd
    try:
        mounts.mount_setattr(fd, "", mounts.AT_EMPTY_PATH, attr_set=MountAttr.IDMAP, userns_fd=userns_fd)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise Unsupported(f"{path} is on {file_system(path)}, which cannot be idmapped", hint=_HINT) from error
        raise
    return fd


def _mount_overlay(lower: Sequence[str], upper: str, work: str) -> int:
    """With one option a layer, or on kernels before 6.5 with one for all; those find out when the mount is created."""
    try:
        return _mount([("lowerdir+", directory) for directory in lower], upper, work)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return _mount([("lowerdir", ":".join(lower))], upper, work)


def _mount(lower: Sequence[tuple[str, str]], upper: str, work: str) -> int:
    fs_fd = mounts.fsopen("overlay")
    try:
        for key, value in (*lower, ("upperdir", upper), ("workdir", work)):
            mounts.fsconfig(fs_fd, FsConfig.SET_STRING, key, value)
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        return mounts.fsmount(fs_fd)
    finally:
        os.close(fs_fd)
