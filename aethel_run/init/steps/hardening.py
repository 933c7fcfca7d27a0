"""Take away what a container should not have: writes to the kernel, sight of it, new privileges."""

from __future__ import annotations

import os
import stat
from typing import Final

from aethel_common.linux import mounts, paths, processes
from aethel_common.linux.mounts import FsConfig, MountAttr, MoveMount, OpenTree
from aethel_common.linux.paths import Resolve
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.init.steps.devices import NULL, open_host_device

_WITHIN: Final = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_XDEV
_COPY: Final = OpenTree.CLONE | OpenTree.CLOEXEC | OpenTree.EMPTY_PATH


@step(man="proc(5) fsopen(2)", oci="config-linux.md#sysctl", when=lambda init: bool(init.spec.linux.sysctl))
def write_sysctls(init: Init) -> None:
    """Set the kernel parameters that belong to the container's namespaces."""
    # Through a /proc that nobody else sees: that of the container may have been covered (CVE-2019-16884, CVE-2025-52881).
    proc_fd = _private_proc()
    try:
        for key, value in init.spec.linux.sysctl.items():
            path = "sys/" + (key if "/" in key else key.replace(".", "/"))
            fd = paths.openat2(proc_fd, path, os.O_WRONLY, resolve=_WITHIN)
            try:
                os.write(fd, value.encode())
            except OSError as error:
                raise OSError(error.errno, f"write(2): {error.strerror}", f"/proc/{path}") from error
            finally:
                os.close(fd)
    finally:
        os.close(proc_fd)


@step(
    man="open_tree(2) move_mount(2)",
    oci="config-linux.md#masked-paths",
    when=lambda init: bool(init.spec.linux.masked_paths),
)
def mask_paths(init: Init) -> None:
    """Cover what tells about or reaches into the host: files with /dev/null, directories with nothing."""
    empty_fd: int | None = None
    for path in init.spec.linux.masked_paths:
        target_fd = _open_if_there(init.rootfs_fd, path)
        if target_fd is None:
            continue
        if not stat.S_ISDIR(os.fstat(target_fd).st_mode):
            # The host's own, checked: /dev/null of an image may be a link to anything (CVE-2025-31133).
            _cover(open_host_device("null", NULL), target_fd)
        elif empty_fd is None:
            empty_fd = _empty_directory()
            _cover(os.dup(empty_fd), target_fd)
        else:
            _cover(mounts.open_tree(empty_fd, "", _COPY), target_fd)
    if empty_fd is not None:
        os.close(empty_fd)


@step(
    man="open_tree(2) mount_setattr(2)",
    oci="config-linux.md#readonly-paths",
    when=lambda init: bool(init.spec.linux.readonly_paths),
)
def make_paths_read_only(init: Init) -> None:
    """Cover parts of /proc with themselves, read-only."""
    for path in init.spec.linux.readonly_paths:
        target_fd = _open_if_there(init.rootfs_fd, path)
        if target_fd is None:
            continue
        copy_fd = mounts.open_tree(target_fd, "", _COPY | OpenTree.RECURSIVE)
        mounts.mount_setattr(copy_fd, "", mounts.AT_EMPTY_PATH | mounts.AT_RECURSIVE, attr_set=MountAttr.RDONLY)
        _cover(copy_fd, target_fd)


@step(man="prctl(2)", oci="config.md#linux-process", when=lambda init: init.process.no_new_privileges)
def set_no_new_privs(init: Init) -> None:
    """Let no set-user-id program give more than is there now."""
    processes.set_no_new_privs()


def _private_proc() -> int:
    fs_fd = mounts.fsopen("proc")
    try:
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        return mounts.fsmount(fs_fd, MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
    finally:
        os.close(fs_fd)


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
    """Owns both descriptors."""
    try:
        mounts.move_mount(cover_fd, "", target_fd, "", MoveMount.F_EMPTY_PATH | MoveMount.T_EMPTY_PATH)
    finally:
        os.close(cover_fd)
        os.close(target_fd)
