"""Descriptor, index, manifest and image configuration. image-spec v1.1"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from aethel_common.errors import Corrupt

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


class Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base: unknown fields are ignored."""


class Descriptor(Document, frozen=True, kw_only=True):
    """What a blob is. descriptor.md"""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = {}


class Index(Document, frozen=True, kw_only=True):
    """Several manifests. image-index.md"""

    schema_version: int
    manifests: tuple[Descriptor, ...]


class Manifest(Document, frozen=True, kw_only=True):
    """One image. manifest.md"""

    schema_version: int
    media_type: str = MANIFEST
    config: Descriptor
    layers: tuple[Descriptor, ...]


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """How to run it: `config` of config.md; absent and null mean the same."""

    user: str = ""
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: Mapping[str, str] | None = None
    stop_signal: str = ""


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of the layers, uncompressed, the lowest first."""

    type: str = "layers"
    diff_ids: tuple[str, ...] = ()


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """config.md"""

    architecture: str
    os: str
    config: RunConfig = RunConfig()
    rootfs: RootFs


D = TypeVar("D")


def decode(data: bytes, kind: type[D], what: str) -> D:
    """A typed document; raises Corrupt naming `what` and the JSON path. An object cannot be both an index and a manifest."""
    try:
        document = msgspec.json.decode(data, type=kind)
        raw = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise Corrupt(f"{what}: {error}") from error
    if isinstance(raw, dict) and "manifests" in raw and "layers" in raw:
        raise Corrupt(f"{what}: claims to be an index and a manifest at once")
    return document
