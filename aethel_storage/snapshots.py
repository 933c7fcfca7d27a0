"""The writable part of a container: what overlayfs calls upper and work."""

from __future__ import annotations

import os
import shutil

from aethel_common.errors import from_os
from aethel_common.layout import ContainerLayout


def prepare(container: ContainerLayout, *, owner: tuple[int, int]) -> None:
    """Make a container's writable part, whose root is `owner`'s (user and group of the host). Idempotent.

    Raises Exhausted (disk full).
    """
    try:
        container.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (container.upper, container.work):
            directory.mkdir(exist_ok=True)
            # The root of the overlay has the upper directory's mode, and must be open to every user inside.
            directory.chmod(0o755)
            os.chown(directory, *owner)
    except OSError as error:
        raise from_os(error, "make a container's directories") from error


def remove(container: ContainerLayout) -> None:
    """Remove all that a container wrote. Idempotent; by descriptor, following no link that the container left."""
    assert shutil.rmtree.avoids_symlink_attacks
    if os.path.lexists(container.state):
        shutil.rmtree(container.state)
