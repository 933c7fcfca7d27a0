"""Open a path inside a root without trusting its symbolic links. man 2 openat2"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from aethel_common.linux._libc import Syscall, text
from aethel_common.linux.symbols import Flags
from aethel_common.linux.trace import Fd, Struct, octal


class Open(Flags, prefix="O_"):
    """asm-generic/fcntl.h, the numbers of this machine; callers use those of `os`."""

    RDONLY = os.O_RDONLY
    WRONLY = os.O_WRONLY
    RDWR = os.O_RDWR
    CREAT = os.O_CREAT
    EXCL = os.O_EXCL
    NOCTTY = os.O_NOCTTY
    TRUNC = os.O_TRUNC
    APPEND = os.O_APPEND
    NONBLOCK = os.O_NONBLOCK
    DIRECTORY = os.O_DIRECTORY
    NOFOLLOW = os.O_NOFOLLOW
    CLOEXEC = os.O_CLOEXEC
    PATH = os.O_PATH


class Resolve(Flags, prefix="RESOLVE_"):
    """linux/openat2.h"""

    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


class _OpenHow(Struct):
    shown = (("flags", Open), ("mode", octal), ("resolve", Resolve))
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_openat2: Final = Syscall("openat2", Fd, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, number=437)


def openat2(directory_fd: int, path: str, flags: int, mode: int = 0, *, resolve: Resolve) -> int:
    """Open `path` below `directory_fd`; the descriptor is the caller's. man 2 openat2"""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, int(resolve))
    return _openat2(directory_fd, text(path), ctypes.byref(how), ctypes.sizeof(how), about=path)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` as a process whose root is `root_fd` would: no link and no `..` leads out, no magic link is followed."""
    return openat2(root_fd, path, flags, mode, resolve=Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)


def make_directories(root_fd: int, path: str, mode: int = 0o755) -> int:
    """Open the directory `path` inside the root, making what is missing, step by step on descriptors (CVE-2024-45310).

    Symbolic links that exist are followed inside the root. Raises NotADirectoryError, or FileNotFoundError for a link
    that leads nowhere.
    """
    current = os.dup(root_fd)
    done = ""
    try:
        for part in (p for p in path.split("/") if p not in ("", ".")):
            done = f"{done}/{part}"
            # From the root again, so that a link's target is taken relative to it and `..` cannot climb out.
            following = _open_or_make(root_fd, current, done, part, mode)
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    return current


def _open_or_make(root_fd: int, parent_fd: int, path: str, name: str, mode: int) -> int:
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        return open_in_root(root_fd, path, flags)
    except FileNotFoundError:
        if name == "..":
            raise
        try:
            os.mkdir(name, mode, dir_fd=parent_fd)
        except FileExistsError:
            pass  # a dangling link fails again below; somebody who was faster does not
        return open_in_root(root_fd, path, flags)


def make_file(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Open (O_PATH) the file `path` inside the root, making it and its directories if missing."""
    try:
        return open_in_root(root_fd, path, os.O_PATH)
    except FileNotFoundError:
        directory, _, name = path.rstrip("/").rpartition("/")
        parent = make_directories(root_fd, directory)
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=parent))
        except FileExistsError:
            pass
        finally:
            os.close(parent)
        return open_in_root(root_fd, path, os.O_PATH)
