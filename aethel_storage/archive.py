"""`tarfile` as a parser of streams that nobody vouches for: its appetite for time and memory gets a bound."""

from __future__ import annotations

import io
import tarfile
from typing import IO, Final, cast

_BLOCK: Final = 1024 * 1024
_EXTENSIONS: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_EXTENSION_LIMIT: Final = 1024 * 1024
"""Bytes of long names and attributes of one entry: they are read into memory as a whole."""
_EMPTY_READS: Final = 100
"""More than any whole archive leads to."""


def open_stream(stream: io.RawIOBase) -> tarfile.TarFile:
    """The archive that the stream is, to be read once from front to end. Raises tarfile.TarError, EOFError.

    Headers that make no sense may also raise ValueError, OverflowError, LookupError or RecursionError.
    """
    source = cast(IO[bytes], _Finite(stream))
    return tarfile.open(fileobj=source, mode="r|", bufsize=_BLOCK, tarinfo=_Header)


class _Finite:
    """A stream that may be read at its end a few times only.

    `tarfile` skips over a size that a header made up, block by block, and does not notice that there are none.
    """

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._empty = 0

    def read(self, size: int) -> bytes:
        """As of any stream. Raises EOFError."""
        data = self._stream.read(size) or b""
        if not data:
            self._empty += 1
            if self._empty > _EMPTY_READS:
                raise EOFError
        return data


class _Header(tarfile.TarInfo):
    """A header whose extensions have a bound."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENSIONS and self.size > _EXTENSION_LIMIT:
            raise tarfile.ReadError(f"{self.size} bytes of long names and attributes")
        member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return member
