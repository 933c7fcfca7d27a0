"""JSON files that are read whole and replaced whole; typed by msgspec Structs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from aethel_common.errors import Corrupt

T = TypeVar("T")


def read(path: Path, kind: type[T]) -> T:
    """Decode the file. Raises FileNotFoundError, or Corrupt with the path and the JSON path of what is wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise Corrupt(f"{path}: {error}") from error


def replace(path: Path, document: object, *, mode: int = 0o600) -> None:
    """Write the file in one piece: a reader sees the old one or the new one, never half of it.

    Not synced: it survives the death of any process, not of the machine.
    """
    temporary = _temporary(path)
    # Not truncated before it is written: what `reserve` has set aside would be given back.
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        try:
            _write(fd, msgspec.json.encode(document))
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def reserve(path: Path, size: int = 4096, *, mode: int = 0o600) -> None:
    """Set space aside for the next `replace` of `path` by this process: it goes well even if the disk fills up.

    Raises OSError when there is no space now.
    """
    fd = os.open(_temporary(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _write(fd: int, data: bytes) -> None:
    """All of it: on a disk that is nearly full, write(2) takes what fits and says so only by its result."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.ftruncate(fd, len(data))
