"""Open a path inside a root without trusting its symbolic links. man 2 openat2"""

from __future__ import annotations

import ctypes
import enum
import errno
import os
from typing import Final

from aethel_common.linux._libc import Syscall, text

_MAX_LINKS: Final = 40
"""As many as the kernel follows. man 7 path_resolution"""
_MAX_TRIES: Final = 64


class Resolve(enum.IntFlag):
    """linux/openat2.h"""

    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_openat2: Final = Syscall("openat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, number=437)


def openat2(directory_fd: int, path: str, flags: int, mode: int = 0, *, resolve: Resolve) -> int:
    """Open `path` below `directory_fd`; the descriptor is the caller's. man 2 openat2"""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, int(resolve))
    for _ in range(_MAX_TRIES - 1):
        try:
            return _openat2(directory_fd, text(path), ctypes.addressof(how), ctypes.sizeof(how), about=path)
        except BlockingIOError:
            pass  # somebody renamed or mounted something meanwhile, so the kernel cannot vouch for a `..`
    return _openat2(directory_fd, text(path), ctypes.addressof(how), ctypes.sizeof(how), about=path)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` as a process whose root is `root_fd` would: no link and no `..` leads out, no magic link is followed."""
    return openat2(root_fd, path, flags, mode, resolve=Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)


def make_directories(root_fd: int, path: str, mode: int = 0o755) -> int:
    """Open the directory `path` inside the root, making what is missing, step by step on descriptors (CVE-2024-45310).

    Symbolic links are followed inside the root, and where one leads nowhere yet, what it names is made. The descriptor
    is the caller's. Raises NotADirectoryError, or OSError (ELOOP) after 40 such links.
    """
    return _make_directories(root_fd, path, mode, _MAX_LINKS)


def make_file(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Open (O_PATH) the file `path` inside the root, making it and its directories if missing; links as above."""
    return _make_file(root_fd, path, mode, _MAX_LINKS)


def _make_directories(root_fd: int, path: str, mode: int, links_left: int) -> int:
    current = os.dup(root_fd)
    done = ""
    try:
        for name in (part for part in path.split("/") if part not in ("", ".")):
            # From the root again, so that a link's target is taken relative to it and `..` cannot climb out.
            following = _open_or_make(root_fd, current, done, name, mode, links_left)
            os.close(current)
            current = following
            done = f"{done}/{name}"
    except BaseException:
        os.close(current)
        raise
    return current


def _open_or_make(root_fd: int, parent_fd: int, parent: str, name: str, mode: int, links_left: int) -> int:
    path = f"{parent}/{name}"
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        return open_in_root(root_fd, path, flags)
    except FileNotFoundError:
        if name == "..":
            raise
    try:
        os.mkdir(name, mode, dir_fd=parent_fd)
    except FileExistsError:
        target = _dangling_target(parent_fd, name, path, links_left)
        if target is not None:
            return _make_directories(root_fd, _from(parent, target), mode, links_left - 1)
    return open_in_root(root_fd, path, flags)


def _make_file(root_fd: int, path: str, mode: int, links_left: int) -> int:
    try:
        return open_in_root(root_fd, path, os.O_PATH)
    except FileNotFoundError:
        pass
    directory, _, name = path.rstrip("/").rpartition("/")
    parent_fd = _make_directories(root_fd, directory, 0o755, links_left)
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=parent_fd))
    except FileExistsError:
        target = _dangling_target(parent_fd, name, path, links_left)
        if target is not None:
            return _make_file(root_fd, _from(directory, target), mode, links_left - 1)
    finally:
        os.close(parent_fd)
    return open_in_root(root_fd, path, os.O_PATH)


def _dangling_target(parent_fd: int, name: str, path: str, links_left: int) -> str | None:
    """Where the link leads; None when it is no link: somebody else made the file a moment ago."""
    try:
        target = os.readlink(name, dir_fd=parent_fd)
    except OSError:
        return None
    if not links_left:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return target


def _from(directory: str, target: str) -> str:
    return target if target.startswith("/") else f"{directory}/{target}"
