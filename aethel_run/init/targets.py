"""Where a mount goes: a path of the document, opened inside the root and made if it is missing.

No path of the container is resolved by string: a link in the image leads nowhere but into the image, whoever exchanges it
meanwhile (CVE-2021-30465).
"""

from __future__ import annotations

import errno
import os
import stat

from aethel_common.errors import InvalidSpec
from aethel_common.linux import paths
from aethel_run.spec.mounts import Mount


def directory(root_fd: int, mount: Mount) -> int:
    """A directory (O_PATH), the caller's. Raises InvalidSpec when something else is there."""
    try:
        return paths.make_directories(root_fd, mount.destination)
    except NotADirectoryError:
        raise InvalidSpec(f"{mount.destination} in the container is not a directory, {_what(mount)} is one") from None
    except OSError as error:
        raise _missing(mount.destination, error) from error


def plain_directory(root_fd: int, mount: Mount) -> int:
    """A directory to which no link leads: where proc and sysfs go, or writes to them would too (CVE-2019-19921)."""
    try:
        return paths.make_directories(root_fd, mount.destination, links=False)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise _missing(mount.destination, error) from error
    raise InvalidSpec(f"{mount.destination} in the image is not a plain directory, so {mount.type} cannot be there")


def like(source_fd: int, root_fd: int, mount: Mount) -> int:
    """A file or a directory (O_PATH), as the source is one; the caller's. Raises InvalidSpec when they differ."""
    if stat.S_ISDIR(os.fstat(source_fd).st_mode):
        return directory(root_fd, mount)
    try:
        fd = paths.make_file(root_fd, mount.destination)
    except NotADirectoryError:
        raise InvalidSpec(f"{mount.destination}: what leads there in the container is not a directory") from None
    except OSError as error:
        raise _missing(mount.destination, error) from error
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidSpec(f"{mount.destination} in the container is a directory, {_what(mount)} is not")
    return fd


def existing(root_fd: int, path: str) -> int | None:
    """What is there (O_PATH), the caller's; None when nothing is."""
    try:
        return paths.open_in_root(root_fd, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_there(root_fd: int, path: str) -> bool:
    """Whether anything is."""
    fd = existing(root_fd, path)
    if fd is not None:
        os.close(fd)
    return fd is not None


def _what(mount: Mount) -> str:
    return mount.source or f"a {mount.type}"


def _missing(path: str, error: OSError) -> OSError:
    """The call's error names one component; the document's name for it is what helps."""
    if error.errno == errno.EROFS:
        return OSError(errno.EROFS, "is missing, and cannot be made: the root there is read-only", path)
    return OSError(error.errno, error.strerror or str(error), path)
