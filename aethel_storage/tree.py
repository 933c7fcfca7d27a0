"""Write a list of files as a one-layer OCI image layout; the same list gives the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from aethel_storage import digest as digests
from aethel_storage.oci.documents import (
    CONFIG,
    LAYER_GZIP,
    MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    RootFs,
    RunConfig,
)

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A directory, a link or a regular file."""

    path: str
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    is_directory: bool = False
    link: str | None = None
    content: bytes = b""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What the image says of itself."""

    command: tuple[str, ...]
    labels: Mapping[str, str]
    epoch: int


class _DatedConfig(ImageConfig, frozen=True, kw_only=True):
    created: str


def write_layout(directory: Path, files: Iterable[File], configuration: Configuration, *, architecture: str) -> str:
    """Make `directory`, with one image of one layer, whose diff id is returned. image-spec image-layout.md"""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    tar = _tar(files)
    # mtime 0 and a fixed level: the same bytes wherever the same zlib is; the layer's diff id is the same everywhere.
    diff_id = digests.of(tar)
    layer = _store(blobs, gzip.compress(tar, compresslevel=9, mtime=0), LAYER_GZIP)
    config = _DatedConfig(
        architecture=architecture,
        os="linux",
        created=datetime.fromtimestamp(configuration.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        config=RunConfig(env=(DEFAULT_PATH,), cmd=configuration.command, labels=configuration.labels),
        rootfs=RootFs(type="layers", diff_ids=(diff_id,)),
    )
    document = _encode(config)
    manifest = Manifest(schema_version=2, config=_store(blobs, document, CONFIG), layers=(layer,))
    index = Index(schema_version=2, manifests=(_store(blobs, _encode(manifest), MANIFEST),))
    (directory / "index.json").write_bytes(_encode(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return diff_id


def _encode(document: msgspec.Struct) -> bytes:
    """With `mediaType` and `rootfs.type` even where they are the default: other readers want them."""
    builtins = msgspec.to_builtins(document)
    if isinstance(document, Manifest):
        builtins["mediaType"] = document.media_type
    if isinstance(document, ImageConfig):
        builtins["rootfs"]["type"] = document.rootfs.type
    return msgspec.json.encode(builtins, order="sorted")


def _store(blobs: Path, data: bytes, media_type: str) -> Descriptor:
    digest = digests.of(data)
    (blobs / digests.encoded(digest)).write_bytes(data)
    return Descriptor(media_type=media_type, digest=digest, size=len(data))


def _tar(files: Iterable[File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in files:
            tar.addfile(_header(file), io.BytesIO(file.content))
    return buffer.getvalue()


def _header(file: File) -> tarfile.TarInfo:
    header = tarfile.TarInfo(file.path)
    header.mode, header.uid, header.gid, header.mtime = file.mode, file.uid, file.gid, file.mtime
    if file.is_directory:
        header.type = tarfile.DIRTYPE
    elif file.link is not None:
        header.type, header.linkname = tarfile.SYMTYPE, file.link
    else:
        header.size = len(file.content)
    return header
