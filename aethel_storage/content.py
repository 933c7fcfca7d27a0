"""Blobs by their digest: content/blobs/sha256/<hex>, the same on disk as in an OCI image layout."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from aethel_common.errors import Corrupt, from_os
from aethel_storage import digest as digests
from aethel_storage.oci.documents import Descriptor

DOCUMENT_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a manifest or configuration."""
CHUNK: Final = 1024 * 1024


class ContentStore:
    """What is read small is verified at each reading; what is large, while it is unpacked."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._blobs.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be."""
        return self._blobs / digests.encoded(digest)

    def ingest(self, chunks: Iterable[bytes], expected: Descriptor) -> None:
        """Store a blob. Raises Corrupt when size or digest differ from what is expected; nothing is left then."""
        temporary = self._blobs / f".{secrets.token_hex(8)}"
        try:
            self._write(temporary, chunks, expected)
            temporary.rename(self.path(expected.digest))
        except OSError as error:
            raise from_os(error, "store a blob") from error
        finally:
            temporary.unlink(missing_ok=True)

    def document(self, descriptor: Descriptor, what: str) -> bytes:
        """A small blob, verified. Raises Corrupt when it is missing, too large or changed."""
        if descriptor.size > DOCUMENT_LIMIT:
            raise Corrupt(f"{what}: {descriptor.size} bytes are more than a document may have")
        with self.open(descriptor.digest, what) as file:
            data = file.read(DOCUMENT_LIMIT + 1)
        if digests.of(data) != descriptor.digest:
            raise Corrupt(f"{what}: blob {descriptor.digest} is damaged", hint="build or pull the image again")
        return data

    def open(self, digest: str, what: str) -> BinaryIO:
        """A blob for reading; the reader verifies. Raises Corrupt when it is missing."""
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise Corrupt(f"{what}: blob {digest} is missing", hint="build or pull the image again") from None

    @staticmethod
    def _write(path: Path, chunks: Iterable[bytes], expected: Descriptor) -> None:
        hasher = hashlib.sha256()
        size = 0
        with open(path, "xb") as file:
            for chunk in chunks:
                hasher.update(chunk)
                size += len(chunk)
                file.write(chunk)
            file.flush()
            os.fdatasync(file.fileno())
        actual = "sha256:" + hasher.hexdigest()
        if (size, actual) != (expected.size, expected.digest):
            raise Corrupt(f"blob {expected.digest} has {size} bytes and digest {actual}")
