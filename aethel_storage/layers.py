"""LayerStore: layers unpacked once, each in a directory named for its chain id. image-spec config.md#layer-chainid"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import IO, Final, cast

from aethel_common.errors import Corrupt, from_os
from aethel_common.linux import files
from aethel_storage import digest as digests
from aethel_storage.content import ContentStore
from aethel_storage.extract import extract
from aethel_storage.images import Image
from aethel_storage.oci.documents import Descriptor

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class LayerStore:
    """One directory per layer below `root`; a directory that is there is whole."""

    def __init__(self, root: Path, content: ContentStore) -> None:
        self._root = root
        self._content = content
        root.mkdir(parents=True, exist_ok=True)

    def unpack(self, image: Image) -> tuple[Path, ...]:
        """The directories of an image's layers, the topmost first, unpacked if they are not yet.

        Raises Corrupt (a blob is missing, damaged or cut off), Exhausted (disk full); nothing half-done stays.
        """
        directories: list[Path] = []
        chain = ""
        for layer, diff_id in zip(image.layers, image.diff_ids, strict=True):
            chain = digests.of(f"{chain} {diff_id}".encode()) if chain else digests.check(diff_id)
            directory = self._root / digests.encoded(chain)
            if not directory.is_dir():
                self._unpack(layer, diff_id, directory, f"image {image.name}")
            directories.append(directory)
        return tuple(reversed(directories))

    def _unpack(self, layer: Descriptor, diff_id: str, directory: Path, what: str) -> None:
        # One at a time, across threads and processes: flock belongs to the open file, and each caller opens its own.
        with open(self._root / ".lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if directory.is_dir():
                return
            temporary = directory.with_name(f".{directory.name}")
            if temporary.exists():
                shutil.rmtree(temporary)  # of a daemon that was killed
            try:
                temporary.mkdir(0o755)
                temporary.chmod(0o755)
                self._extract(layer, diff_id, temporary, what)
                temporary.rename(directory)
            except BaseException as error:
                shutil.rmtree(temporary, ignore_errors=True)
                if isinstance(error, OSError):
                    raise from_os(error, f"unpack {what}") from error
                raise

    def _extract(self, layer: Descriptor, diff_id: str, directory: Path, what: str) -> None:
        root_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self._content.open(layer.digest, what) as blob:
                compressed = _Hashing(blob)
                plain = _Hashing(_decompress(compressed, blob))
                try:
                    extract(plain, root_fd, what)
                    plain.drain()
                    compressed.drain()
                except _damage() as error:
                    raise Corrupt(f"{what}: layer {layer.digest} is damaged: {error}") from error
            if compressed.digest() != layer.digest:
                raise Corrupt(f"{what}: blob {layer.digest} is damaged", hint="build or pull the image again")
            if plain.digest() != diff_id:
                raise Corrupt(f"{what}: layer {layer.digest} unpacks to {plain.digest()}, not to {diff_id}")
            # A directory that is there is taken for whole for ever: it may not be there before its files are.
            files.syncfs(root_fd)
        finally:
            os.close(root_fd)


class _Hashing(io.RawIOBase):
    """Passes a stream on, and knows the digest of what has passed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hasher = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        self._hasher.update(data)
        view[: len(data)] = data
        return len(data)

    def drain(self) -> None:
        """Read to the end: a digest is that of the whole stream."""
        while self.read(1024 * 1024):
            pass

    def digest(self) -> str:
        """Of all that was read."""
        return "sha256:" + self._hasher.hexdigest()


def _decompress(stream: _Hashing, blob: IO[bytes]) -> IO[bytes]:
    """By what the bytes are, not by what they are said to be."""
    magic = blob.read(4)
    blob.seek(0)
    reader = io.BufferedReader(stream, 256 * 1024)
    if magic.startswith(_GZIP):
        from isal import igzip

        return cast(IO[bytes], igzip.GzipFile(fileobj=reader, mode="rb"))  # type: ignore[no-untyped-call]
    if magic == _ZSTD:
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(reader, read_across_frames=True)
    return reader


def _damage() -> tuple[type[Exception], ...]:
    """What the decompressors raise; called when something has been raised, so that they are loaded already if need be."""
    from isal import igzip_lib
    from zstandard import ZstdError

    return EOFError, gzip.BadGzipFile, cast(type[Exception], igzip_lib.IsalError), ZstdError
