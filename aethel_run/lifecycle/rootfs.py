"""A plain directory as a container's root."""

from __future__ import annotations

from collections.abc import Callable

from aethel_run.process.sources import open_source
from aethel_run.spec.mounts import Mount


def open_directory(path: str) -> Callable[[int | None], int]:
    """For CreateOptions.open_rootfs: the directory and what is mounted in it, with the owners that it has."""
    mount = Mount(destination="/", type="bind", source=path, options=("rbind",))
    return lambda userns_fd: open_source(mount)
