"""The terminal: made in the container's own devpts, so that its name is right inside. man 4 pts, man 7 pty"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import Final

from aethel_common import fdsocket
from aethel_common.linux import mounts, paths
from aethel_common.linux.mounts import OpenTree
from aethel_run import sync
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.init.steps.devices import bind

_TIOCGPTPEER: Final = 0x5441
"""asm-generic/ioctls.h; not in termios."""
_TIOCGPTN: Final = 0x80045430
_TIOCSPTLCK: Final = 0x40045431


@step(man="pts(4) ioctl_tty(2)", when=lambda init: init.process.terminal)
def open_console(init: Init) -> None:
    """Make the terminal in the container's own devpts, keep its slave as /dev/console, send its master out."""
    number = _open_terminal(init, init.rootfs_fd)
    _bind_console(init.rootfs_fd, number)


@step(man="pts(4) ioctl_tty(2)", when=lambda init: init.process.terminal)
def open_terminal(init: Init) -> None:
    """Make another terminal in the devpts of the container that was joined, and send its master out."""
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _open_terminal(init, root_fd)
    finally:
        os.close(root_fd)


def _open_terminal(init: Init, root_fd: int) -> int:
    """Its slave becomes 0, 1 and 2; its number in the devpts."""
    master = paths.open_in_root(root_fd, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        number: int = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, b"\0" * 4))[0]
        # By descriptor: a name could be a link by now (CVE-2025-52565).
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
        try:
            os.fchown(slave, init.process.user.uid, -1)
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(slave, fd, inheritable=True)
        finally:
            os.close(slave)
        size = init.process.console_size
        if size is not None:
            termios.tcsetwinsize(master, (min(size.height, 65535), min(size.width, 65535)))
        fdsocket.send(init.sync, sync.encode(sync.Console()), [master])
    finally:
        os.close(master)
    return number


def _bind_console(root_fd: int, number: int) -> None:
    slave_fd = paths.open_in_root(root_fd, f"/dev/pts/{number}", os.O_PATH)
    try:
        tree_fd = mounts.open_tree(slave_fd, "", OpenTree.CLONE | OpenTree.CLOEXEC | OpenTree.EMPTY_PATH)
    finally:
        os.close(slave_fd)
    dev_fd = paths.open_in_root(root_fd, "/dev", os.O_PATH | os.O_DIRECTORY)
    try:
        bind(tree_fd, dev_fd, "console")
    finally:
        os.close(dev_fd)
