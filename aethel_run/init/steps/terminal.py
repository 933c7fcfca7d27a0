"""The terminal: made in the container's own devpts, so that its name is right inside. man 4 pts, man 7 pty"""

from __future__ import annotations

import os
import stat
import struct
import termios
from typing import Final

from aethel_common import fdsocket
from aethel_common.errors import AethelError, InvalidSpec
from aethel_common.linux import calls, paths
from aethel_common.linux.calls import Terminal
from aethel_common.linux.paths import Resolve
from aethel_common.linux.statfs import Magic, file_system
from aethel_run import sync
from aethel_run.init import targets, trees
from aethel_run.init.context import Init
from aethel_run.init.step import step

_BELOW: Final = Resolve.BENEATH | Resolve.NO_XDEV | Resolve.NO_SYMLINKS


@step(man="pts(4) ioctl_tty(2)", when=lambda init: init.process.terminal, only="with process.terminal")
def open_console(init: Init) -> None:
    """Make the terminal in the container's own devpts, keep its slave as /dev/console, send its master out."""
    _open_terminal(init, init.rootfs_fd, is_console=True)


@step(man="pts(4) ioctl_tty(2)", when=lambda init: init.process.terminal, only="with process.terminal")
def open_terminal(init: Init) -> None:
    """Make another terminal in the devpts of the container that was joined, and send its master out."""
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _open_terminal(init, root_fd, is_console=False)
    finally:
        os.close(root_fd)


def _open_terminal(init: Init, root_fd: int, *, is_console: bool) -> None:
    """Its slave becomes 0, 1 and 2, and the session's controlling terminal."""
    master = _open_ptmx(root_fd)
    try:
        calls.ioctl(master, Terminal.SPTLCK, struct.pack("i", 0))
        # By descriptor: a name could be a link by now (CVE-2025-52565).
        slave = calls.ioctl(master, Terminal.GPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            calls.fchown(slave, init.process.user.uid, -1)
            calls.ioctl(slave, Terminal.SCTTY, 0)
            for fd in (0, 1, 2):
                calls.dup2(slave, fd)
            if is_console:
                _bind_console(root_fd, slave)
        finally:
            os.close(slave)
        size = init.process.console_size
        if size is not None:
            termios.tcsetwinsize(master, (size.height, size.width))
        fdsocket.send(init.sync, sync.encode(sync.Console()), [master])
    finally:
        os.close(master)


def _open_ptmx(root_fd: int) -> int:
    """Looked at before it is opened: the image may have anything there. Raises InvalidSpec without a devpts."""
    pts_fd = targets.existing(root_fd, "/dev/pts")
    if pts_fd is None:
        raise InvalidSpec("process.terminal: no devpts is mounted at /dev/pts")
    try:
        if file_system(pts_fd) != Magic.DEVPTS:
            raise InvalidSpec("process.terminal: /dev/pts in the container is not a devpts")
        # Below the mount itself: a name that goes through the container's /proc could be led elsewhere.
        return paths.openat2(pts_fd, "ptmx", os.O_RDWR | os.O_NOCTTY, resolve=_BELOW)
    finally:
        os.close(pts_fd)


def _bind_console(root_fd: int, slave: int) -> None:
    tree_fd = trees.clone_fd(slave)
    try:
        target_fd = _console_place(root_fd)
        try:
            trees.place(tree_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(tree_fd)


def _console_place(root_fd: int) -> int:
    """The file /dev/console, made if missing; a link there is not followed."""
    dev_fd = paths.open_in_root(root_fd, "/dev", os.O_PATH | os.O_DIRECTORY)
    try:
        try:
            os.close(calls.open("console", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=dev_fd))
        except FileExistsError:
            pass
        fd = calls.open("console", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev_fd)
    finally:
        os.close(dev_fd)
    if stat.S_IFMT(os.fstat(fd).st_mode) in (stat.S_IFLNK, stat.S_IFDIR):
        os.close(fd)
        raise AethelError("/dev/console in the container is a link or a directory")
    return fd
