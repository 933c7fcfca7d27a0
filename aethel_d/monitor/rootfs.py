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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from aethel_common.errors import Unsupported
from aethel_common.linux import mounts
from aethel_common.linux.mounts import FsConfig, MountAttr, MountFlags, MoveMount, OpenTree, UmountFlags
from aethel_run.process.sources import file_system

_HINT = "`--userns host` runs it without a user namespace"
_PAGE: Final = 4096
"""What mount(2) reads of its options; it cuts longer ones off without a word."""


def open_overlay(layers: str, lower: Sequence[str], upper: str, work: str, userns_fd: int | None) -> int:
    """A detached overlay; the caller owns the descriptor. `lower` is relative to `layers`, the topmost first.

    Needs a mount namespace that may be changed: while the overlay is made, the idmapped tree is mounted over
    `layers` there. Raises OSError, or Unsupported when the file system cannot be idmapped, or when an old kernel cannot
    mount so many layers.
    """
    tree_fd = _open_tree(layers, userns_fd)
    try:
        mounts.move_mount(tree_fd, "", mounts.AT_FDCWD, layers, MoveMount.F_EMPTY_PATH)
        try:
            with _working_directory(layers):
                overlay = _mount_by_options(lower, upper, work)
            return _mount_by_page(layers, lower, upper, work) if overlay is None else overlay
        finally:
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


def _mount_by_options(lower: Sequence[str], upper: str, work: str) -> int | None:
    """With one option a layer; None on kernels before 6.7, which have none for that."""
    fs_fd = mounts.fsopen("overlay")
    try:
        if _takes_anything(fs_fd):
            return None
        for key, value in (*(("lowerdir+", directory) for directory in lower), ("upperdir", upper), ("workdir", work)):
            mounts.fsconfig(fs_fd, FsConfig.SET_STRING, key, value)
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        return mounts.fsmount(fs_fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
    finally:
        os.close(fs_fd)


def _takes_anything(fs_fd: int) -> bool:
    """Whether options are only collected, as before 6.5: to let it create the mount would be an error in the kernel's log."""
    try:
        mounts.fsconfig(fs_fd, FsConfig.SET_STRING, "no-such-option", "x")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def _mount_by_page(target: str, lower: Sequence[str], upper: str, work: str) -> int:
    """With all options in the one page that mount(2) takes, and where it takes them from: mounted, for a moment."""
    with ExitStack() as opened:
        names = [_descriptor(os.path.join(target, directory), opened) for directory in lower]
        upper_name, work_name = _descriptor(upper, opened), _descriptor(work, opened)
        options = f"upperdir={upper_name},workdir={work_name},lowerdir={':'.join(names)}"
        if len(options) >= _PAGE:
            raise Unsupported(f"{len(lower)} layers are more than this kernel can mount")
        # Relative to this directory the number of a descriptor is a name, as short as can be.
        with _working_directory("/proc/self/fd"):
            mounts.mount("overlay", target, "overlay", MountFlags(0), options)
    try:
        return mounts.open_tree(mounts.AT_FDCWD, target, OpenTree.CLONE | OpenTree.CLOEXEC)
    finally:
        mounts.umount2(target, UmountFlags.DETACH)


def _descriptor(directory: str, opened: ExitStack) -> str:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return str(fd)


@contextmanager
def _working_directory(path: str) -> Iterator[None]:
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(path)
        yield
    finally:
        os.fchdir(before)
        os.close(before)
