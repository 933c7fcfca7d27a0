"""The mounts of the document, each made as a detached mount and then put into its place by descriptor. config.md#mounts"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from aethel_common.errors import AethelError, InvalidSpec
from aethel_common.linux import mounts, paths
from aethel_common.linux.mounts import MountAttr
from aethel_common.linux.statfs import Magic, file_system
from aethel_run.init import copyup, newfs, targets, trees, views
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec.mounts import Meaning, Mount, meaning

_TMPFS: Final = "tmpfs"


@step(man="fsopen(2) fsmount(2) open_tree(2) move_mount(2) mount_setattr(2)")
def mount_filesystems(init: Init) -> None:
    """Mount /proc, /dev, /sys and whatever else the document lists, in its order."""
    if init.spec.linux.mount_label:
        newfs.check_label(init.spec.linux.mount_label)
    for index, mount in enumerate(init.spec.mounts):
        words = meaning(mount)
        try:
            if words.remount:
                _change(init, mount, words)
            elif words.bind:
                _bind(init, mount, words, init.sources.get(index))
            else:
                _mount(init, mount, words)
        except OSError as error:
            raise OSError(error.errno, f"mounts[{index}]: {error.strerror}", error.filename) from error
        except AethelError as error:
            raise type(error)(f"mounts[{index}]: {error.message}", hint=error.hint) from error


@step(
    man="mount_setattr(2) tmpfs(5)",
    when=lambda init: any(map(_is_late, init.spec.mounts)),
    only="with a read-only tmpfs among the mounts",
)
def make_tmpfs_read_only(init: Init) -> None:
    """Make those tmpfs read-only that shall be: not before devices, links and the places of other mounts were made."""
    for mount in filter(_is_late, init.spec.mounts):
        fd = paths.open_in_root(init.rootfs_fd, mount.destination, os.O_PATH)
        try:
            # Another mount may lie over it by now, which has words of its own.
            if file_system(fd) == Magic.TMPFS:
                mounts.mount_setattr(fd, "", mounts.AT_EMPTY_PATH, attr_set=MountAttr.RDONLY)
        finally:
            os.close(fd)


def _is_late(mount: Mount) -> bool:
    words = meaning(mount)
    return mount.type == _TMPFS and not (words.bind or words.remount) and bool(words.attr_set & MountAttr.RDONLY)


def _bind(init: Init, mount: Mount, words: Meaning, source_fd: int | None) -> None:
    """What the parent opened, or where it had no privilege to (rootless), what init itself can."""
    own_fd = source_fd if source_fd is not None else _own_source(mount, words)
    try:
        target_fd = targets.like(own_fd, init.rootfs_fd, mount)
        try:
            trees.place(own_fd, target_fd)
        finally:
            os.close(target_fd)
        trees.propagate(own_fd, trees.propagation_of(words, init.spec.linux.rootfs_propagation))
    finally:
        os.close(own_fd)


def _own_source(mount: Mount, words: Meaning) -> int:
    if words.idmap:
        raise InvalidSpec(f"{mount.source}: idmap needs privilege over the host's file system")
    fd = trees.clone(mount.source, recursive=words.recursive)
    try:
        trees.isolate(fd)
        trees.set_attributes(fd, words)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _mount(init: Init, mount: Mount, words: Meaning) -> None:
    find = targets.plain_directory if views.is_shown_whole(mount) else targets.directory
    covers = mount.type == _TMPFS and targets.is_there(init.rootfs_fd, mount.destination)
    target_fd = find(init.rootfs_fd, mount)
    try:
        if covers:
            _take_after(target_fd, words)
        mount_fd = _make_by_mount(init, mount, words, target_fd) if words.super_flags else _make(init, mount, words)
        try:
            if words.copy_up:
                copyup.copy_tree(target_fd, mount_fd)
            if not words.super_flags:
                trees.place(mount_fd, target_fd)
            trees.propagate(mount_fd, trees.propagation_of(words, init.spec.linux.rootfs_propagation))
        finally:
            os.close(mount_fd)
    finally:
        os.close(target_fd)


def _take_after(target_fd: int, words: Meaning) -> None:
    """A tmpfs has the mode of what it covers unless one is said, so that /tmp stays everybody's; a copy its owner too.

    What covers nothing is everybody's, as the kernel has it.
    """
    status = os.fstat(target_fd)
    said = {key for key, _ in words.data}
    if "mode" not in said:
        words.data.append(("mode", f"{stat.S_IMODE(status.st_mode):04o}"))
    if words.copy_up:
        owner = (("uid", status.st_uid), ("gid", status.st_gid))
        words.data.extend((key, str(value)) for key, value in owner if key not in said)


def _make(init: Init, mount: Mount, words: Meaning) -> int:
    if views.needs_bind(init, mount):
        view_fd = views.instead(init, mount, words)
        assert view_fd is not None
        return view_fd
    try:
        return newfs.make(mount, words, _attributes(mount, words), init.spec.linux.mount_label)
    except OSError as error:
        view_fd = views.instead(init, mount, words) if error.errno in (errno.EPERM, errno.EBUSY) else None
        if view_fd is not None:
            return view_fd
        if error.errno == errno.EPERM and views.is_shown_whole(mount):
            reason = f"{error.strerror}: a user namespace may mount it only where nothing covers parts of the host's"
            raise OSError(errno.EPERM, reason, mount.destination) from error
        raise


def _make_by_mount(init: Init, mount: Mount, words: Meaning, target_fd: int) -> int:
    """Afterwards the mount has a name, under which alone it can be found."""
    newfs.make_at(target_fd, mount, words, _attributes(mount, words), init.spec.linux.mount_label)
    return paths.open_in_root(init.rootfs_fd, mount.destination, os.O_PATH | os.O_DIRECTORY)


def _attributes(mount: Mount, words: Meaning) -> MountAttr:
    return words.attr_set & ~MountAttr.RDONLY if _is_late(mount) else words.attr_set


def _change(init: Init, mount: Mount, words: Meaning) -> None:
    """`remount`: with `bind` of the mount alone, without it of the file system too."""
    target_fd = paths.open_in_root(init.rootfs_fd, mount.destination, os.O_PATH)
    try:
        if not words.bind:
            newfs.remount(target_fd, mount, words)
        trees.set_attributes(target_fd, words)
        trees.propagate(target_fd, words.propagation)
    finally:
        os.close(target_fd)
