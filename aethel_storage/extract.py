"""A layer's tar stream into a directory, refusing every way out of it.

`tarfile` is used as a parser of headers only (see `archive`): its own extraction has been bypassed again and again.
Files are made relative to the descriptor of their parent directory, which is opened below the layer's root without
following a single symbolic link (openat2 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), and always made anew, never opened.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from pathlib import PurePosixPath
from typing import Final

from aethel_common.errors import Corrupt
from aethel_common.linux import paths
from aethel_common.linux.paths import Resolve
from aethel_storage import archive

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_AUFS: Final = ".wh..wh."
"""What else begins so is aufs's own bookkeeping, and means nothing here."""
_OPAQUE_ATTRIBUTE: Final = "trusted.overlay.opaque"
_XATTR: Final = "SCHILY.xattr."
_COPY: Final = 1024 * 1024
_MAX_ID: Final = 2**32 - 2
_NOT_A_DIRECTORY: Final = (errno.ENOTDIR, errno.ELOOP, errno.EXDEV)
"""A file, a symbolic link, or a way out: openat2's answers to each."""


def extract(stream: io.RawIOBase, root_fd: int, what: str) -> None:
    """Unpack the stream below `root_fd`. Raises Corrupt naming `what` and the entry; what was written stays."""
    layer = _Layer(root_fd, what)
    try:
        with archive.open_stream(stream) as tar:
            for entry in tar:
                layer.add(entry, tar)
        layer.finish()
    except (tarfile.TarError, EOFError) as error:
        raise Corrupt(f"{what}: {str(error) or 'the stream ends too early'}") from error
    except (ValueError, OverflowError, LookupError, RecursionError) as error:
        # What a header holds goes through conversions without number, in `tarfile` and below it.
        raise Corrupt(f"{what}: a header makes no sense: {error}") from error


class _Layer:
    def __init__(self, root_fd: int, what: str) -> None:
        self._root_fd = root_fd
        self._what = what
        self._directory_times: dict[str, float] = {}

    def add(self, entry: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        """Make one entry."""
        path = self._clean(entry.name)
        if not (0 <= entry.uid <= _MAX_ID and 0 <= entry.gid <= _MAX_ID):
            raise Corrupt(f"{self._what}: entry {entry.name!r} belongs to {entry.uid}:{entry.gid}")
        if path == ".":
            self._set_owner_and_mode(self._root_fd, ".", entry)
            return
        parent, name = os.path.split(path)
        parent_fd = self._open_parent(parent, entry.name)
        try:
            if name.startswith(_WHITEOUT):
                self._whiteout(parent_fd, name, path)
            else:
                self._make(entry, tar, parent_fd, name, path)
        finally:
            os.close(parent_fd)

    def finish(self) -> None:
        """Directories get their times last: every file made in them had changed these."""
        for path in sorted(self._directory_times, reverse=True):
            fd = self._open_parent(path, path)
            try:
                os.utime(fd, (self._directory_times[path],) * 2)
            finally:
                os.close(fd)

    def _clean(self, name: str) -> str:
        parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
        if ".." in parts or "\0" in name:
            raise Corrupt(f"{self._what}: entry {name!r} leads out of the layer")
        return "/".join(parts) or "."

    def _open_parent(self, path: str, entry: str) -> int:
        resolve = Resolve.BENEATH | Resolve.NO_SYMLINKS
        flags = os.O_RDONLY | os.O_DIRECTORY
        try:
            return paths.openat2(self._root_fd, path or ".", flags, resolve=resolve)
        except FileNotFoundError:
            return self._make_parents(path, entry)
        except OSError as error:
            if error.errno not in _NOT_A_DIRECTORY:
                raise
            raise Corrupt(f"{self._what}: the parent of entry {entry!r} is not a directory") from error

    def _make_parents(self, path: str, entry: str) -> int:
        """Directories that the stream has left out."""
        parent, name = os.path.split(path)
        parent_fd = self._open_parent(parent, entry)
        try:
            os.mkdir(name, 0o755, dir_fd=parent_fd)
            os.chmod(name, 0o755, dir_fd=parent_fd)  # the umask is not the image's
        finally:
            os.close(parent_fd)
        return self._open_parent(path, entry)

    def _make(self, entry: tarfile.TarInfo, tar: tarfile.TarFile, parent_fd: int, name: str, path: str) -> None:
        if entry.isdir():
            self._make_directory(parent_fd, name)
            self._directory_times[path] = entry.mtime
            self._set_owner_and_mode(parent_fd, name, entry)
            return
        self._remove(parent_fd, name, path, f"entry {entry.name!r} replaces a directory that is not empty")
        if entry.islnk():
            self._link(entry, parent_fd, name)
            return
        if entry.isreg():
            self._write(entry, tar, parent_fd, name)
        elif entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent_fd)
        elif entry.ischr() or entry.isblk():
            kind = stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
            os.mknod(name, kind | 0o600, os.makedev(entry.devmajor, entry.devminor), dir_fd=parent_fd)
        elif entry.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent_fd)
        else:
            raise Corrupt(f"{self._what}: entry {entry.name!r} has type {entry.type!r}, which is not supported")
        self._set_owner_and_mode(parent_fd, name, entry)

    def _make_directory(self, parent_fd: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent_fd)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return
            os.unlink(name, dir_fd=parent_fd)
            os.mkdir(name, 0o700, dir_fd=parent_fd)
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                # Hidden by this layer, then made anew: what the layers below have in it stays hidden.
                os.setxattr(f"/proc/self/fd/{parent_fd}/{name}", _OPAQUE_ATTRIBUTE, b"y")

    def _write(self, entry: tarfile.TarInfo, tar: tarfile.TarFile, parent_fd: int, name: str) -> None:
        source = tar.extractfile(entry)
        assert source is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        # Buffered, which writes all that it is given: a bare write(2) takes what fits on the disk, and is content.
        with open(os.open(name, flags, 0o600, dir_fd=parent_fd), "wb") as file:
            while chunk := source.read(_COPY):
                file.write(chunk)

    def _link(self, entry: tarfile.TarInfo, parent_fd: int, name: str) -> None:
        target_parent, target = os.path.split(self._clean(entry.linkname))
        target_fd = self._open_parent(target_parent, entry.linkname)
        try:
            os.link(target, name, src_dir_fd=target_fd, dst_dir_fd=parent_fd, follow_symlinks=False)
        except FileNotFoundError:
            raise Corrupt(
                f"{self._what}: entry {entry.name!r} links to {entry.linkname!r}, which is not there"
            ) from None
        except PermissionError:
            raise Corrupt(
                f"{self._what}: entry {entry.name!r} links to {entry.linkname!r}, which is a directory"
            ) from None
        finally:
            os.close(target_fd)

    def _whiteout(self, parent_fd: int, name: str, path: str) -> None:
        """What a lower layer has is hidden: a 0:0 device for a name, an attribute for a whole directory."""
        if name == _OPAQUE:
            os.setxattr(f"/proc/self/fd/{parent_fd}", _OPAQUE_ATTRIBUTE, b"y")
            return
        if name.startswith(_AUFS):
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", ".."):
            raise Corrupt(f"{self._what}: whiteout {name!r} hides nothing that has a name")
        directory = os.path.dirname(path)
        hidden_path = f"{directory}/{hidden}" if directory else hidden
        self._remove(parent_fd, hidden, hidden_path, f"whiteout {name!r} hides a directory of its own layer")
        os.mknod(hidden, stat.S_IFCHR | 0o000, os.makedev(0, 0), dir_fd=parent_fd)

    def _remove(self, parent_fd: int, name: str, path: str, problem: str) -> None:
        """Make room for something else of that name."""
        try:
            os.unlink(name, dir_fd=parent_fd)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            try:
                os.rmdir(name, dir_fd=parent_fd)
            except OSError as error:
                raise Corrupt(f"{self._what}: {problem}") from error
            self._directory_times.pop(path, None)

    def _set_owner_and_mode(self, parent_fd: int, name: str, entry: tarfile.TarInfo) -> None:
        os.chown(name, entry.uid, entry.gid, dir_fd=parent_fd, follow_symlinks=False)
        if entry.issym():
            os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent_fd, follow_symlinks=False)
            return
        # After the owner: chown takes the set-user-id bit away. The entry was just made by us and is no link.
        os.chmod(name, entry.mode & 0o7777, dir_fd=parent_fd)
        attributes = {key: value for key, value in entry.pax_headers.items() if key.startswith(_XATTR)}
        if attributes and (entry.isreg() or entry.isdir()):
            _set_xattrs(parent_fd, name, attributes)
        os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent_fd)


def _set_xattrs(parent_fd: int, name: str, attributes: dict[str, str]) -> None:
    for key, value in attributes.items():
        attribute = key.removeprefix(_XATTR)
        # trusted.* would steer overlayfs itself; an image has no say in that.
        if attribute.startswith(("user.", "security.capability")):
            path = f"/proc/self/fd/{parent_fd}/{name}"
            os.setxattr(path, attribute, value.encode(errors="surrogateescape"), follow_symlinks=False)
