"""Read a qcow2 disk image: plain and zlib-compressed clusters, no backing file. QEMU docs/interop/qcow2.rst"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from aethel_common.errors import Corrupt

_MAGIC: Final = 0x514649FB
_OFFSET: Final = 0x00FFFFFFFFFFFE00
_SECTOR: Final = 512


def convert(source: BinaryIO, target: Path, progress: Callable[[int, int], None]) -> None:
    """Write the disk as a sparse raw file, telling how many of its bytes are done. Raises Corrupt."""
    header = source.read(104)
    magic, _, backing, _, cluster_bits, size, encryption, entries, table = struct.unpack(">IIQIIQIIQ", header[:48])
    incompatible = struct.unpack(">Q", header[72:80])[0]
    if magic != _MAGIC or backing or encryption or incompatible:
        raise Corrupt("the disk image is not a plain qcow2 file")
    cluster = 1 << cluster_bits
    source.seek(table)
    with open(target, "wb") as raw:
        raw.truncate(size)
        for index, entry in enumerate(struct.unpack(f">{entries}Q", source.read(8 * entries))):
            if entry & _OFFSET:
                source.seek(entry & _OFFSET)
                table_two = struct.unpack(f">{cluster // 8}Q", source.read(cluster))
                _copy_clusters(source, raw, table_two, index * (cluster // 8), cluster_bits)
            progress(min((index + 1) * (cluster // 8) * cluster, size), size)


def _copy_clusters(source: BinaryIO, raw: BinaryIO, entries: tuple[int, ...], first: int, cluster_bits: int) -> None:
    cluster = 1 << cluster_bits
    for index, entry in enumerate(entries):
        if not entry:
            continue
        raw.seek((first + index) * cluster)
        if entry >> 62 & 1:
            raw.write(_compressed(source, entry, cluster_bits))
        elif not entry & 1:  # that bit: all zeroes, as the sparse file has it already
            source.seek(entry & _OFFSET)
            raw.write(source.read(cluster))


def _compressed(source: BinaryIO, entry: int, cluster_bits: int) -> bytes:
    bits = 62 - (cluster_bits - 8)
    offset = entry & ((1 << bits) - 1)
    sectors = (entry >> bits & ((1 << (cluster_bits - 8)) - 1)) + 1
    source.seek(offset)
    data = source.read(sectors * _SECTOR - offset % _SECTOR)
    return zlib.decompressobj(-12).decompress(data, 1 << cluster_bits)
