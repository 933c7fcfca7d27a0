"""Images: list them, and build those that ship as recipes."""

from __future__ import annotations

from collections.abc import Callable

from aethel_d.engine.context import Engine
from aethel_storage import oci_layout, recipes
from aethel_storage.images import Image


def list_images(engine: Engine) -> list[Image]:
    """Every image, by name."""
    return [engine.images.get(name) for name in engine.images.names()]


def buildable(engine: Engine) -> list[str]:
    """Recipes that are not built yet."""
    there = set(engine.images.names())
    return [name for name in recipes.available() if name not in there]


def build(engine: Engine, name: str, progress: Callable[[str, int, int], None]) -> Image:
    """Build a recipe, import it and unpack it, so that the first run need not. Raises NotFound, Unavailable, Corrupt."""
    layout = recipes.build(name, engine.layout.cache, progress)
    image = oci_layout.import_layout(layout, name, engine.content, engine.images)
    progress("import", 1, 1)
    engine.layers.unpack(image)
    return image
