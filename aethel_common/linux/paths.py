"""Open a path inside a root without trusting its symbolic links. man 2 openat2"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

from aethel_common.linux import calls
from aethel_common.linux._libc import Syscall, text
from aethel_common.linux.calls import Open
from aethel_common.linux.structures import Struct, c_fd
from aethel_common.linux.symbols import Flags
from aethel_common.linux.trace import octal


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


_openat2: Final = Syscall("openat2", c_fd, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, number=437)
_MAX_LINKS: Final = 40
"""As many as the kernel follows in one path. man 7 path_resolution"""
_MAX_TRIES: Final = 128
_IN_ROOT: Final = Resolve.IN_ROOT | Resolve.NO_MAGICLINKS


def openat2(directory_fd: int, path: str, flags: int, mode: int = 0, *, resolve: Resolve) -> int:
    """Open `path` below `directory_fd`; the descriptor is the caller's. man 2 openat2"""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, int(resolve))
    return _openat2(directory_fd, text(path), ctypes.byref(how), ctypes.sizeof(how), about=path)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0, *, links: bool = True) -> int:
    """Open `path` as a process whose root is `root_fd` would: no link and no `..` leads out, no magic link is followed.

    Without `links` no symbolic link is followed at all (ELOOP).
    """
    resolve = _IN_ROOT if links else _IN_ROOT | Resolve.NO_SYMLINKS
    for _ in range(_MAX_TRIES):
        try:
            return openat2(root_fd, path, flags, mode, resolve=resolve)
        except BlockingIOError:
            pass  # EAGAIN: something on the way of a `..` was renamed meanwhile
    raise OSError(errno.EAGAIN, "is being changed faster than it can be opened", path)


def make_directories(root_fd: int, path: str, mode: int = 0o755, *, links: bool = True) -> int:
    """Open (O_PATH) the directory `path` inside the root, making what is missing, step by step on descriptors.

    Symbolic links are followed inside the root, and what one names is made too. Never by one path (CVE-2024-45310).
    Raises NotADirectoryError; without `links` OSError (ELOOP) for a symbolic link.
    """
    current = os.dup(root_fd)
    done: list[str] = []
    left = _parts(path)
    followed = 0
    try:
        while left:
            # From the root again, so that a link's target is taken relative to it and `..` cannot climb out.
            following = _open_or_make(root_fd, current, [*done, left[0]], mode, links)
            if isinstance(following, str):
                followed += 1
                if followed > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                left[:1] = _parts(following)
                if following.startswith("/"):
                    done, following = [], os.dup(root_fd)
                else:
                    continue
            else:
                done.append(left.pop(0))
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    return current


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _open_or_make(root_fd: int, parent_fd: int, parts: list[str], mode: int, links: bool) -> int | str:
    """The last of `parts`, opened; or where it points, if it is a link to what does not exist."""
    path, name = "/".join(parts), parts[-1]
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        return open_in_root(root_fd, path, flags, links=links)
    except FileNotFoundError:
        if name == "..":
            raise
    target = _link_target(parent_fd, name)
    if target is not None:
        return target
    try:
        calls.mkdir(name, mode, dir_fd=parent_fd)
    except FileExistsError:
        pass  # somebody was faster
    return open_in_root(root_fd, path, flags, links=links)


def _link_target(directory_fd: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory_fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):  # not there, not a link
            return None
        raise


def make_file(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Open (O_PATH) the file `path` inside the root, making it, its directories, and what a link names, if missing."""
    for _ in range(_MAX_LINKS):
        try:
            return open_in_root(root_fd, path, os.O_PATH)
        except FileNotFoundError:
            pass
        directory, _, name = path.rstrip("/").rpartition("/")
        parent = make_directories(root_fd, directory)
        try:
            target = _link_target(parent, name)
            if target is None:
                _make_empty(parent, name, mode)
            else:
                path = target if target.startswith("/") else f"{directory}/{target}"
        finally:
            os.close(parent)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _make_empty(directory_fd: int, name: str, mode: int) -> None:
    try:
        os.close(calls.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=directory_fd))
    except FileExistsError:
        pass  # somebody was faster
