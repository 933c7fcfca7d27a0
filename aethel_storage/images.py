"""ImageStore: names of images, and what they stand for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from aethel_common.database import Database
from aethel_common.errors import Corrupt, NotFound
from aethel_storage.content import ContentStore
from aethel_storage.oci.documents import Descriptor, ImageConfig, Manifest, RunConfig, decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that can be run."""

    name: str
    digest: str
    config: RunConfig
    layers: tuple[Descriptor, ...]
    """The lowest first."""
    diff_ids: tuple[str, ...]
    size: int
    created_ns: int


class ImageStore:
    """Name to manifest. Documents are verified each time they are read."""

    SCHEMA: Final = """
        CREATE TABLE IF NOT EXISTS images (
            name TEXT PRIMARY KEY,
            digest TEXT NOT NULL,
            media_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            created_ns INTEGER NOT NULL
        ) STRICT;
    """

    def __init__(self, database: Database, content: ContentStore) -> None:
        self._database = database
        self._content = content

    def put(self, name: str, manifest: Descriptor) -> Image:
        """Give the manifest that name, whose earlier meaning is lost."""
        with self._database.transaction() as sql:
            sql.execute(
                "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)",
                (name, manifest.digest, manifest.media_type, manifest.size, time.time_ns()),
            )
        return self.get(name)

    def get(self, name: str) -> Image:
        """By name. Raises NotFound, which lists what there is, and Corrupt."""
        rows = self._database.read("SELECT * FROM images WHERE name = ?", (name,))
        if not rows:
            known = ", ".join(self.names()) or "none"
            raise NotFound(f"no such image: {name}", hint=f"there is: {known}")
        row = rows[0]
        descriptor = Descriptor(media_type=row["media_type"], digest=row["digest"], size=row["size"])
        return self._load(name, descriptor, row["created_ns"])

    def names(self) -> list[str]:
        """All of them, sorted."""
        return [row["name"] for row in self._database.read("SELECT name FROM images ORDER BY name")]

    def _load(self, name: str, descriptor: Descriptor, created_ns: int) -> Image:
        what = f"image {name}"
        manifest = decode(self._content.document(descriptor, what), Manifest, f"{what}: manifest")
        config = decode(self._content.document(manifest.config, what), ImageConfig, f"{what}: configuration")
        if len(config.rootfs.diff_ids) != len(manifest.layers) or not manifest.layers:
            raise Corrupt(f"{what}: {len(manifest.layers)} layers, but {len(config.rootfs.diff_ids)} diff ids")
        return Image(
            name=name,
            digest=descriptor.digest,
            config=config.config,
            layers=manifest.layers,
            diff_ids=config.rootfs.diff_ids,
            size=descriptor.size + manifest.config.size + sum(layer.size for layer in manifest.layers),
            created_ns=created_ns,
        )
