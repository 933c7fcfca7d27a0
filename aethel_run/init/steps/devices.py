"""/dev: the few devices every program expects, and the terminal. config-linux.md#default-devices"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from aethel_common.linux import mounts, paths
from aethel_common.linux.mounts import MoveMount, OpenTree
from aethel_run.init.context import Init
from aethel_run.init.step import step

NULL: Final = (1, 3)
_DEVICES: Final = {
    "null": NULL,
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}


def open_host_device(name: str, number: tuple[int, int]) -> int:
    """A detached mount of a device of the host, which is what its name says (CVE-2025-31133). man 2 open_tree"""
    fd = mounts.open_tree(mounts.AT_FDCWD, f"/dev/{name}", OpenTree.CLONE | OpenTree.CLOEXEC)
    status = os.fstat(fd)
    if not stat.S_ISCHR(status.st_mode) or (os.major(status.st_rdev), os.minor(status.st_rdev)) != number:
        os.close(fd)
        raise OSError(errno.ENODEV, "not the device it should be", f"/dev/{name}")
    return fd


@step(man="open_tree(2) null(4)")
def create_devices(init: Init) -> None:
    """Bind null, zero, full, random, urandom and tty from the host: in a user namespace nobody may make a device."""
    dev_fd = paths.open_in_root(init.rootfs_fd, "/dev", os.O_PATH | os.O_DIRECTORY)
    try:
        for name, number in _DEVICES.items():
            bind(open_host_device(name, number), dev_fd, name)
    finally:
        os.close(dev_fd)


@step(man="symlink(2) pts(4)")
def link_devices(init: Init) -> None:
    """Link fd, stdin, stdout, stderr, core and ptmx to where /proc and devpts have them."""
    # Relative to the descriptor of /dev, which may be a link in the image (CVE-2026-41579).
    dev_fd = paths.open_in_root(init.rootfs_fd, "/dev", os.O_PATH | os.O_DIRECTORY)
    try:
        for name, target in _LINKS.items():
            try:
                os.symlink(target, name, dir_fd=dev_fd)
            except FileExistsError:
                pass
    finally:
        os.close(dev_fd)


def bind(tree_fd: int, directory_fd: int, name: str) -> None:
    """Put a detached mount on the file `name`, made if missing; owns `tree_fd`."""
    try:
        target_fd = os.open(
            name, os.O_CREAT | os.O_NOFOLLOW | os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, 0o666, dir_fd=directory_fd
        )
        try:
            mounts.move_mount(tree_fd, "", target_fd, "", MoveMount.F_EMPTY_PATH | MoveMount.T_EMPTY_PATH)
        finally:
            os.close(target_fd)
    finally:
        os.close(tree_fd)
