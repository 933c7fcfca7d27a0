"""Begin a tmpfs with what the image has in its place (`tmpcopyup`), by descriptors alone.

Owners, modes, times, extended attributes, symbolic and hard links come along; nothing is followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aethel_common.linux import calls

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 20
_LABEL: Final = "security.selinux"
"""Not of the file, but of where it is: the policy's, or linux.mountLabel."""

Links = dict[tuple[int, int], str]
"""Files with more than one name, by device and inode: where the first of them went, from the top of the copy."""


def copy_tree(source_fd: int, target_fd: int) -> None:
    """Copy what is in one directory into another; both may be O_PATH. Raises OSError with the name."""
    with _opened(".", source_fd, _READ | os.O_DIRECTORY) as inside:
        _copy_directory(inside, target_fd, target_fd, "", {})


def _copy_directory(source_fd: int, target_fd: int, top_fd: int, prefix: str, links: Links) -> None:
    for name in os.listdir(source_fd):
        status = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
        key = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            with _opened(name, source_fd, _READ | os.O_DIRECTORY) as below:
                calls.mkdir(name, 0o700, dir_fd=target_fd)
                with _opened(name, target_fd, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW) as made:
                    _copy_directory(below, made, top_fd, f"{prefix}{name}/", links)
        elif key in links:
            os.link(links[key], name, src_dir_fd=top_fd, dst_dir_fd=target_fd, follow_symlinks=False)
            continue
        else:
            _copy_leaf(source_fd, target_fd, name, status)
            if status.st_nlink > 1:
                links[key] = prefix + name
        _copy_metadata(source_fd, target_fd, name, status)
    _copy_top(source_fd, target_fd)


def _copy_leaf(source_fd: int, target_fd: int, name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        calls.symlink(os.readlink(name, dir_fd=source_fd), name, dir_fd=target_fd)
    elif stat.S_ISREG(status.st_mode):
        with _opened(name, source_fd, _READ) as reader, _opened(name, target_fd, _WRITE, 0o600) as writer:
            while os.sendfile(writer, reader, None, _CHUNK):
                pass
    else:
        calls.mknod(name, status.st_mode, status.st_rdev, dir_fd=target_fd)


def _copy_metadata(source_fd: int, target_fd: int, name: str, status: os.stat_result) -> None:
    """Owner first: a change of it takes set-user-id bits and file capabilities away."""
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target_fd, follow_symlinks=False)
    _copy_attributes(f"/proc/self/fd/{source_fd}/{name}", f"/proc/self/fd/{target_fd}/{name}")
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target_fd)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target_fd, follow_symlinks=False)


def _copy_top(source_fd: int, target_fd: int) -> None:
    """The directory itself has its times last: to fill it changed them."""
    status = os.fstat(source_fd)
    os.utime(f"/proc/self/fd/{target_fd}", ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_attributes(source: str, target: str) -> None:
    for name in os.listxattr(source, follow_symlinks=False):
        if name == _LABEL:
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
        except OSError as error:
            # Without privilege over the host trusted.* and others' labels cannot be set, and older tmpfs has no user.*.
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
                raise


@contextmanager
def _opened(name: str, directory_fd: int, flags: int, mode: int = 0) -> Iterator[int]:
    fd = calls.open(name, flags | os.O_CLOEXEC, mode, dir_fd=directory_fd)
    try:
        yield fd
    finally:
        os.close(fd)
