"""Import an OCI image layout: a directory with index.json and blobs. image-spec image-layout.md"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aethel_common.errors import Corrupt
from aethel_storage import digest as digests
from aethel_storage.content import CHUNK, ContentStore
from aethel_storage.images import Image, ImageStore
from aethel_storage.oci.documents import Descriptor, Index, Manifest, decode


def import_layout(directory: Path, name: str, content: ContentStore, images: ImageStore) -> Image:
    """Copy the first image of a layout into the store, every blob verified. Raises Corrupt."""
    index = decode((directory / "index.json").read_bytes(), Index, f"{directory}/index.json")
    if not index.manifests:
        raise Corrupt(f"{directory}/index.json: no manifest")
    descriptor = index.manifests[0]
    _copy(directory, descriptor, content)
    manifest = decode(content.document(descriptor, name), Manifest, f"image {name}: manifest")
    for blob in (manifest.config, *manifest.layers):
        _copy(directory, blob, content)
    return images.put(name, descriptor)


def _copy(directory: Path, descriptor: Descriptor, content: ContentStore) -> None:
    source = directory / "blobs" / "sha256" / digests.encoded(descriptor.digest)
    try:
        content.ingest(_chunks(source), descriptor)
    except FileNotFoundError:
        raise Corrupt(f"{directory}: blob {descriptor.digest} is missing") from None


def _chunks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
