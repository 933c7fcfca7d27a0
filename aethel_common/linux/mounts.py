"""Mounts: the classic calls, and the ones that work on descriptors. man 7 mount_namespaces"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from aethel_common.linux._libc import Syscall, text
from aethel_common.linux.structures import Struct, c_fd
from aethel_common.linux.symbols import Flags, Number
from aethel_common.linux.trace import AT_FDCWD as AT_FDCWD
from aethel_common.linux.trace import Fd


class At(Flags, prefix="AT_"):
    """linux/fcntl.h"""

    EMPTY_PATH = 0x1000
    RECURSIVE = 0x8000


AT_EMPTY_PATH: Final = At.EMPTY_PATH
AT_RECURSIVE: Final = At.RECURSIVE


class MountFlags(Flags, prefix="MS_"):
    """linux/mount.h"""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    SYNCHRONOUS = 0x10
    REMOUNT = 0x20
    MANDLOCK = 0x40
    DIRSYNC = 0x80
    NOSYMFOLLOW = 0x100
    NOATIME = 0x400
    NODIRATIME = 0x800
    BIND = 0x1000
    MOVE = 0x2000
    REC = 0x4000
    SILENT = 0x8000
    UNBINDABLE = 0x20000
    PRIVATE = 0x40000
    SLAVE = 0x80000
    SHARED = 0x100000
    RELATIME = 0x200000
    I_VERSION = 0x800000
    STRICTATIME = 0x1000000
    LAZYTIME = 0x2000000


class UmountFlags(Flags):
    """sys/mount.h, which has two prefixes."""

    MNT_FORCE = 1
    MNT_DETACH = 2
    UMOUNT_NOFOLLOW = 8
    FORCE = MNT_FORCE
    DETACH = MNT_DETACH
    NOFOLLOW = UMOUNT_NOFOLLOW


class OpenTree(Flags):
    """linux/mount.h, and two of linux/fcntl.h."""

    OPEN_TREE_CLONE = 1
    OPEN_TREE_CLOEXEC = os.O_CLOEXEC
    AT_EMPTY_PATH = 0x1000
    AT_RECURSIVE = 0x8000
    CLONE = OPEN_TREE_CLONE
    CLOEXEC = OPEN_TREE_CLOEXEC
    EMPTY_PATH = AT_EMPTY_PATH
    RECURSIVE = AT_RECURSIVE


class MoveMount(Flags, prefix="MOVE_MOUNT_"):
    """linux/mount.h"""

    F_EMPTY_PATH = 0x4
    T_EMPTY_PATH = 0x40


class MountAttr(Flags, prefix="MOUNT_ATTR_"):
    """linux/mount.h; the access-time ones are a field of two bits, not single flags."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    _ATIME = 0x70
    ATIME = _ATIME
    NOATIME = 0x10
    STRICTATIME = 0x20
    NODIRATIME = 0x80
    IDMAP = 0x100000
    NOSYMFOLLOW = 0x200000


class FsConfig(Number, prefix="FSCONFIG_"):
    """enum fsconfig_command of linux/mount.h"""

    SET_FLAG = 0
    SET_STRING = 1
    CMD_CREATE = 6


class _MountAttr(Struct):
    shown = (("attr_set", MountAttr), ("attr_clr", MountAttr), ("propagation", MountFlags), ("userns_fd", Fd))
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _FsOpen(Flags, prefix="FSOPEN_"):
    CLOEXEC = 1


class _FsMount(Flags, prefix="FSMOUNT_"):
    CLOEXEC = 1


_c_path = ctypes.c_char_p
_mount: Final = Syscall("mount", _c_path, _c_path, _c_path, ctypes.c_ulong, ctypes.c_char_p)
_umount2: Final = Syscall("umount2", _c_path, ctypes.c_int)
_pivot_root: Final = Syscall("pivot_root", _c_path, _c_path)
_open_tree: Final = Syscall("open_tree", c_fd, _c_path, ctypes.c_uint, number=428)
_move_mount: Final = Syscall("move_mount", c_fd, _c_path, c_fd, _c_path, ctypes.c_uint, number=429)
_fsopen: Final = Syscall("fsopen", ctypes.c_char_p, ctypes.c_uint, number=430)
_fsconfig: Final = Syscall("fsconfig", c_fd, ctypes.c_uint, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, number=431)
_fsmount: Final = Syscall("fsmount", c_fd, ctypes.c_uint, ctypes.c_uint, number=432)
_mount_setattr: Final = Syscall(
    "mount_setattr", c_fd, _c_path, ctypes.c_uint, ctypes.c_void_p, ctypes.c_size_t, number=442
)


def mount(source: str | None, target: str, fs_type: str | None, flags: MountFlags, data: str | None) -> None:
    """man 2 mount"""
    _mount(text(source), text(target), text(fs_type), flags, text(data), about=target)


def umount2(target: str, flags: UmountFlags) -> None:
    """man 2 umount2"""
    _umount2(text(target), flags, about=target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` this namespace's root and move the old root onto `put_old`. man 2 pivot_root

    EINVAL when `new_root` is not a mount point, or it or the parent mount of the current root is shared.
    """
    _pivot_root(text(new_root), text(put_old), about=new_root)


def open_tree(directory_fd: int, path: str, flags: OpenTree) -> int:
    """A descriptor for a mount; with CLONE for a detached copy of it. man 2 open_tree"""
    return _open_tree(directory_fd, text(path), flags, about=path)


def move_mount(from_fd: int, from_path: str, to_fd: int, to_path: str, flags: MoveMount) -> None:
    """Put a mount in its place. man 2 move_mount"""
    _move_mount(from_fd, text(from_path), to_fd, text(to_path), flags, about=to_path)


def fsopen(fs_type: str) -> int:
    """Begin to make a file system of that type. man 2 fsopen"""
    return _fsopen(text(fs_type), _FsOpen.CLOEXEC, about=fs_type)


def fsconfig(fs_fd: int, command: FsConfig, key: str | None = None, value: str | None = None) -> None:
    """Set an option, or create the file system. man 2 fsconfig"""
    _fsconfig(fs_fd, command, text(key), text(value), 0, about=f"{key}={value}" if key else None)


def fsmount(fs_fd: int, attributes: MountAttr = MountAttr(0)) -> int:
    """A detached mount of the created file system. man 2 fsmount"""
    return _fsmount(fs_fd, _FsMount.CLOEXEC, attributes)


def mount_setattr(
    directory_fd: int,
    path: str,
    flags: int,
    *,
    attr_set: MountAttr = MountAttr(0),
    attr_clr: MountAttr = MountAttr(0),
    propagation: MountFlags = MountFlags(0),
    userns_fd: int = 0,
) -> None:
    """Change the properties of a mount (with AT_RECURSIVE, of all below it). man 2 mount_setattr"""
    attributes = _MountAttr(int(attr_set), int(attr_clr), int(propagation), userns_fd)
    _mount_setattr(
        directory_fd, text(path), flags, ctypes.byref(attributes), ctypes.sizeof(attributes), about=path or None
    )
