"""Take away what a container should not have: writes to the kernel, sight of it, new privileges."""

from __future__ import annotations

import os
import stat

from aethel_common.linux import mounts, paths, processes
from aethel_common.linux.mounts import FsConfig, MountAttr, MoveMount, OpenTree
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.init.steps.devices import NULL, open_host_device


@step(man="proc(5) sysctl(2)", when=lambda init: bool(init.spec.linux.sysctl))
def write_sysctls(init: Init) -> None:
    """Set the kernel parameters that belong to the container's namespaces."""
    for key, value in init.spec.linux.sysctl.items():
        path = "/proc/sys/" + key.replace(".", "/")
        fd = paths.open_in_root(init.rootfs_fd, path, os.O_WRONLY)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)


@step(man="open_tree(2) move_mount(2)", when=lambda init: bool(init.spec.linux.masked_paths))
def mask_paths(init: Init) -> None:
    """Cover what tells about or reaches into the host: files with /dev/null, directories with nothing."""
    for path in init.spec.linux.masked_paths:
        target_fd = _open_if_there(init.rootfs_fd, path)
        if target_fd is None:
            continue
        try:
            is_directory = stat.S_ISDIR(os.fstat(target_fd).st_mode)
            cover_fd = _empty_directory() if is_directory else open_host_device("null", NULL)
            _cover(cover_fd, target_fd)
        finally:
            os.close(target_fd)


@step(man="open_tree(2) mount_setattr(2)", when=lambda init: bool(init.spec.linux.readonly_paths))
def make_paths_read_only(init: Init) -> None:
    """Cover parts of /proc with themselves, read-only."""
    for path in init.spec.linux.readonly_paths:
        target_fd = _open_if_there(init.rootfs_fd, path)
        if target_fd is None:
            continue
        try:
            flags = OpenTree.CLONE | OpenTree.CLOEXEC | OpenTree.RECURSIVE | OpenTree.EMPTY_PATH
            copy_fd = mounts.open_tree(target_fd, "", flags)
            mounts.mount_setattr(copy_fd, "", mounts.AT_EMPTY_PATH | mounts.AT_RECURSIVE, attr_set=MountAttr.RDONLY)
            _cover(copy_fd, target_fd)
        finally:
            os.close(target_fd)


@step(man="prctl(2)", when=lambda init: init.process.no_new_privileges)
def set_no_new_privs(init: Init) -> None:
    """Let no set-user-id program give more than is there now."""
    processes.set_no_new_privs()


def _open_if_there(root_fd: int, path: str) -> int | None:
    try:
        return paths.open_in_root(root_fd, path, os.O_PATH)
    except FileNotFoundError:
        return None


def _empty_directory() -> int:
    fs_fd = mounts.fsopen("tmpfs")
    try:
        mounts.fsconfig(fs_fd, FsConfig.SET_STRING, "mode", "0555")
        mounts.fsconfig(fs_fd, FsConfig.SET_STRING, "nr_inodes", "1")
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        return mounts.fsmount(fs_fd, MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
    finally:
        os.close(fs_fd)


def _cover(cover_fd: int, target_fd: int) -> None:
    """Owns `cover_fd`."""
    try:
        mounts.move_mount(cover_fd, "", target_fd, "", MoveMount.F_EMPTY_PATH | MoveMount.T_EMPTY_PATH)
    finally:
        os.close(cover_fd)
