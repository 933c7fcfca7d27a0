"""/dev: the devices of every container, those of the document, and the terminal. config-linux.md#devices"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from aethel_common.linux import calls, paths
from aethel_run.init import nodes, targets
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec.linux import Device, DeviceType, NamespaceType
from aethel_run.spec.mounts import is_bind

NULL: Final = nodes.Node(stat.S_IFCHR, (1, 3))
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
        if targets.is_there(init.rootfs_fd, "/proc/self/fd"):
            for name, target in {**_STREAMS, **(_CORE if own else {})}.items():
                _link(dev_fd, name, target, must=own)
        if own and targets.is_there(init.rootfs_fd, "/dev/pts/ptmx"):
            _link_ptmx(dev_fd)
    finally:
        os.close(dev_fd)


def _link(dev_fd: int, name: str, target: str, *, must: bool) -> None:
    try:
        calls.symlink(target, name, dir_fd=dev_fd)
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
    calls.symlink("pts/ptmx", "ptmx", dir_fd=dev_fd)
