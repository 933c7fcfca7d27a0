"""Device nodes: make one, bind the host's, or see that the right one is there. config-linux.md#devices"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import InvalidSpec, NotFound
from aethel_common.linux import calls, paths
from aethel_run.init import trees
from aethel_run.spec.linux import Device, DeviceType

_KINDS: Final = {
    DeviceType.CHARACTER: stat.S_IFCHR,
    DeviceType.UNBUFFERED: stat.S_IFCHR,
    DeviceType.BLOCK: stat.S_IFBLK,
    DeviceType.FIFO: stat.S_IFIFO,
}
_DEFAULT_MODE: Final = 0o666


@dataclass(frozen=True, slots=True)
class Node:
    """What stands at a path: the kind bits of its mode, and its number if it is a device."""

    kind: int
    number: tuple[int, int]

    @staticmethod
    def of(status: os.stat_result) -> Node:
        """Of a file that exists."""
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFCHR, stat.S_IFBLK):
            return Node(kind, (0, 0))
        return Node(kind, (os.major(status.st_rdev), os.minor(status.st_rdev)))

    @staticmethod
    def wanted(device: Device) -> Node:
        """Of the document."""
        kind = _KINDS[device.type]
        return Node(kind, (0, 0) if kind == stat.S_IFIFO else (device.major, device.minor))


def supply(root_fd: int, device: Device, *, may_make: bool, is_default: bool) -> None:
    """Have the device at its path: the one that is there, a new node, or the host's bound to it.

    A bound one has the host's mode and owner. Raises InvalidSpec when another file is there, NotFound when the host
    has no such device, OSError.
    """
    directory, _, name = device.path.rpartition("/")
    parent_fd = paths.make_directories(root_fd, directory)
    try:
        if not _stands(parent_fd, name, device, is_default):
            made = (may_make or device.type is DeviceType.FIFO) and _make(parent_fd, name, device)
            if not made:
                _bind(parent_fd, name, device)
    except FileExistsError:
        raise _mismatch(device) from None
    finally:
        os.close(parent_fd)


def open_host(path: str, wanted: Node) -> int:
    """A detached mount of a device of the host, which is what its name says (CVE-2025-31133); the caller's."""
    fd = trees.clone(path, recursive=False)
    if Node.of(os.fstat(fd)) != wanted:
        os.close(fd)
        raise OSError(errno.ENODEV, "not the device it should be", path)
    return fd


def _stands(parent_fd: int, name: str, device: Device, is_default: bool) -> bool:
    try:
        status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if Node.of(status) == Node.wanted(device):
        return True
    if _is_place(status, is_default):
        return False
    raise _mismatch(device)


def _is_place(status: os.stat_result, is_default: bool) -> bool:
    """An empty file for a bind, left by an earlier run: nobody may do anything with it, as `_bind` makes them.

    Where every container has a device, other runtimes leave such files too, with other modes.
    """
    empty = stat.S_ISREG(status.st_mode) and status.st_size == 0
    return empty and (is_default or stat.S_IMODE(status.st_mode) == 0)


def _mismatch(device: Device) -> InvalidSpec:
    number = "" if device.type is DeviceType.FIFO else f" {device.major}:{device.minor}"
    return InvalidSpec(f"{device.path} in the container is not the device {device.type}{number}")


def _make(parent_fd: int, name: str, device: Device) -> bool:
    """Whether the kernel lets us."""
    wanted = Node.wanted(device)
    mode = _DEFAULT_MODE if device.file_mode is None else stat.S_IMODE(device.file_mode)
    if _exists(parent_fd, name):
        return False  # the place of a bind
    try:
        calls.mknod(name, wanted.kind | mode, os.makedev(*wanted.number), dir_fd=parent_fd)
    except PermissionError:
        return False
    fd = calls.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
    try:
        if Node.of(os.fstat(fd)) != wanted:
            raise _mismatch(device)
        calls.chown(f"/proc/self/fd/{fd}", device.uid or 0, device.gid or 0)
        calls.chmod(f"/proc/self/fd/{fd}", mode)  # the umask had its say
    finally:
        os.close(fd)
    return True


def _exists(parent_fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _bind(parent_fd: int, name: str, device: Device) -> None:
    tree_fd = _from_host(device)
    try:
        target_fd = _place(parent_fd, name)
        try:
            trees.place(tree_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(tree_fd)


def _place(parent_fd: int, name: str) -> int:
    """An empty file to bind to, made if missing."""
    if not _exists(parent_fd, name):
        os.close(calls.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0, dir_fd=parent_fd))
    fd = calls.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    return fd


def _from_host(device: Device) -> int:
    """Under its own name, or under the one that the kernel knows its number by."""
    wanted = Node.wanted(device)
    for path in (device.path, _kernel_name(wanted)):
        if path is not None:
            try:
                return open_host(path, wanted)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV):
                    raise
    raise NotFound(f"{device.path}: the host has no device {device.type} {device.major}:{device.minor}")


def _kernel_name(node: Node) -> str | None:
    """Its path in /dev. man 5 sysfs"""
    kind = "block" if node.kind == stat.S_IFBLK else "char"
    try:
        with open(f"/sys/dev/{kind}/{node.number[0]}:{node.number[1]}/uevent", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    return next((f"/dev/{line[8:]}" for line in lines if line.startswith("DEVNAME=")), None)
