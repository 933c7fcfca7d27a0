"""/dev: the devices of every container, those of the document, and the terminal. config-linux.md#devices"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios
from typing import Final

from aethel_common import fdsocket
from aethel_common.errors import AethelError, InvalidSpec
from aethel_common.linux import paths
from aethel_common.linux.statfs import Magic, file_system
from aethel_run import sync
from aethel_run.init import nodes, targets, trees
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec.linux import Device, DeviceType, NamespaceType
from aethel_run.spec.mounts import is_bind

NULL: Final = nodes.Node(stat.S_IFCHR, (1, 3))
_PTMX: Final = nodes.Node(stat.S_IFCHR, (5, 2))
_DEFAULTS: Final = tuple(
    Device(type=DeviceType.CHARACTER, path=f"/dev/{name}", major=major, minor=minor)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
_STREAMS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
"""runtime-linux.md#dev-symbolic-links"""
_CORE: Final = {"core": "/proc/kcore"}
_TIOCGPTPEER: Final = 0x5441
"""asm-generic/ioctls.h; not in termios."""
_TIOCSPTLCK: Final = 0x40045431


def brings_its_own(init: Init) -> bool:
    """Whether /dev is bound in: it is the caller's then, with all that is in it."""
    return any(is_bind(each) and "/" + each.destination.strip("/") == "/dev" for each in init.spec.mounts)


@step(man="mknod(2) open_tree(2) null(4)")
def create_devices(init: Init) -> None:
    """Supply null, zero, full, random, urandom and tty, and the devices of the document."""
    listed = init.spec.linux.devices
    named = {device.path for device in listed}
    defaults = () if brings_its_own(init) else [each for each in _DEFAULTS if each.path not in named]
    for device in (*defaults, *listed):
        _supply(init, device, is_default=device not in listed)


def _supply(init: Init, device: Device, *, is_default: bool) -> None:
    # In a user namespace nobody may make a node, and one on its own tmpfs could not be opened.
    may_make = not init.has(NamespaceType.USER)
    try:
        nodes.supply(init.rootfs_fd, device, may_make=may_make, is_default=is_default)
    except OSError as error:
        reason = "is missing, and the root is read-only" if error.errno == errno.EROFS else error.strerror
        raise OSError(error.errno, f"device: {reason}", device.path) from error


@step(man="symlink(2) pts(4)")
def link_devices(init: Init) -> None:
    """Link fd, stdin, stdout, stderr, core and ptmx to where /proc and devpts have them."""
    # Relative to the descriptor of /dev, which may be a link in the image (CVE-2026-41579).
    dev_fd = paths.open_in_root(init.rootfs_fd, "/dev", os.O_PATH | os.O_DIRECTORY)
    try:
        own = not brings_its_own(init)
        if _is_there(init.rootfs_fd, "/proc/self/fd"):
            for name, target in {**_STREAMS, **(_CORE if own else {})}.items():
                _link(dev_fd, name, target, must=own)
        if own and _is_there(init.rootfs_fd, "/dev/pts/ptmx"):
            _link_ptmx(dev_fd)
    finally:
        os.close(dev_fd)


def _is_there(root_fd: int, path: str) -> bool:
    fd = targets.existing(root_fd, path)
    if fd is not None:
        os.close(fd)
    return fd is not None


def _link(dev_fd: int, name: str, target: str, *, must: bool) -> None:
    try:
        os.symlink(target, name, dir_fd=dev_fd)
    except FileExistsError:
        pass  # the image's own
    except OSError as error:
        if must or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise OSError(error.errno, error.strerror, f"/dev/{name}") from error


def _link_ptmx(dev_fd: int) -> None:
    """Whatever the image has there would lead to other terminals than the container's."""
    try:
        if os.readlink("ptmx", dir_fd=dev_fd) == "pts/ptmx":
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    try:
        os.unlink("ptmx", dir_fd=dev_fd)
    except FileNotFoundError:
        pass
    os.symlink("pts/ptmx", "ptmx", dir_fd=dev_fd)


@step(man="pts(4) ioctl_tty(2)", when=lambda init: init.process.terminal)
def open_console(init: Init) -> None:
    """Make the terminal in the container's own devpts, keep its slave as /dev/console, send its master out."""
    master = _open_ptmx(init.rootfs_fd)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        # By descriptor: a name could be a link by now (CVE-2025-52565).
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            os.fchown(slave, init.process.user.uid, -1)
            _make_controlling(slave)
            for fd in (0, 1, 2):
                os.dup2(slave, fd, inheritable=True)
            _bind_console(init.rootfs_fd, slave)
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
    fd = targets.existing(root_fd, "/dev/pts/ptmx")
    if fd is None:
        raise InvalidSpec("process.terminal: no devpts is mounted at /dev/pts")
    try:
        if file_system(fd) != Magic.DEVPTS or nodes.Node.of(os.fstat(fd)) != _PTMX:
            raise InvalidSpec("process.terminal: /dev/pts in the container is not a devpts")
        return os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(fd)


def _make_controlling(slave: int) -> None:
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


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
            os.close(os.open("console", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=dev_fd))
        except FileExistsError:
            pass
        fd = os.open("console", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev_fd)
    finally:
        os.close(dev_fd)
    if stat.S_IFMT(os.fstat(fd).st_mode) in (stat.S_IFLNK, stat.S_IFDIR):
        os.close(fd)
        raise AethelError("/dev/console in the container is a link or a directory")
    return fd
