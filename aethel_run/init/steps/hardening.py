"""Take away what a container should not have: writes to the kernel, sight of it, new privileges."""

from __future__ import annotations

import os
import stat

from aethel_common.linux import mounts, processes, procfs
from aethel_common.linux.mounts import FsConfig, MountAttr
from aethel_run.init import nodes, targets, trees
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.init.steps.devices import NULL


@step(man="proc(5) sysctl(2)", when=lambda init: bool(init.spec.linux.sysctl), only="with linux.sysctl")
def write_sysctls(init: Init) -> None:
    """Set the kernel parameters that belong to the container's namespaces."""
    # Not through the container's /proc, where the image could have something else (CVE-2025-52881).
    with procfs.private() as proc_fd:
        for key, value in init.spec.linux.sysctl.items():
            procfs.write(proc_fd, f"sys/{_sysctl_path(key)}", value)


def _sysctl_path(key: str) -> str:
    """Dots part the names, and a slash stands for a dot in one; or the other way round. man 8 sysctl"""
    first = next((character for character in key if character in "./"), ".")
    return key if first == "/" else key.translate(str.maketrans("./", "/."))


@step(
    man="open_tree(2) move_mount(2)",
    when=lambda init: bool(init.spec.linux.masked_paths),
    only="with linux.maskedPaths",
)
def mask_paths(init: Init) -> None:
    """Cover what tells about or reaches into the host: files with /dev/null, directories with nothing."""
    empty: int | None = None
    try:
        for path in init.spec.linux.masked_paths:
            target_fd = targets.existing(init.rootfs_fd, path)
            if target_fd is None:
                continue
            try:
                if stat.S_ISDIR(os.fstat(target_fd).st_mode):
                    empty = _cover_directory(target_fd, empty)
                else:
                    # The host's, and looked at: the image may have anything for a /dev/null (CVE-2025-31133).
                    trees.cover(nodes.open_host("/dev/null", NULL), target_fd)
            finally:
                os.close(target_fd)
    finally:
        if empty is not None:
            os.close(empty)


def _cover_directory(target_fd: int, empty_fd: int | None) -> int:
    """One empty tmpfs covers all; from the second on its copies do, for which it must be attached already."""
    if empty_fd is None:
        empty_fd = _empty_directory()
        trees.place(empty_fd, target_fd)
    else:
        trees.cover(trees.clone_fd(empty_fd), target_fd)
    return empty_fd


@step(
    man="open_tree(2) mount_setattr(2)",
    when=lambda init: bool(init.spec.linux.readonly_paths),
    only="with linux.readonlyPaths",
)
def make_paths_read_only(init: Init) -> None:
    """Cover parts of /proc with themselves, read-only."""
    for path in init.spec.linux.readonly_paths:
        target_fd = targets.existing(init.rootfs_fd, path)
        if target_fd is None:
            continue
        try:
            copy_fd = trees.clone_fd(target_fd, recursive=True)
            try:
                trees.add_everywhere(copy_fd, MountAttr.RDONLY)
                trees.place(copy_fd, target_fd)
            finally:
                os.close(copy_fd)
        finally:
            os.close(target_fd)


@step(man="prctl(2)", when=lambda init: init.process.no_new_privileges, only="with process.noNewPrivileges")
def set_no_new_privs(init: Init) -> None:
    """Let no set-user-id program give more than is there now."""
    processes.set_no_new_privs()


def _empty_directory() -> int:
    fs_fd = mounts.fsopen("tmpfs")
    try:
        mounts.fsconfig(fs_fd, FsConfig.SET_STRING, "mode", "0555")
        mounts.fsconfig(fs_fd, FsConfig.SET_STRING, "nr_inodes", "1")
        mounts.fsconfig(fs_fd, FsConfig.SET_FLAG, "ro")
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        return mounts.fsmount(fs_fd, MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
    finally:
        os.close(fs_fd)
