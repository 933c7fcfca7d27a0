"""Every cgroup below one, however deep: a container that owns its cgroup may nest deeper than a path is long."""

from __future__ import annotations

import os
from collections.abc import Iterator


def below(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Each cgroup below, children before their parents, as the descriptor of its parent and its name.

    The descriptor is good until the next step. One that vanishes meanwhile is passed over.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    levels: list[tuple[str, list[str]]] = [("", _children(fd))]
    try:
        while levels:
            name, pending = levels[-1]
            if pending:
                child = pending.pop()
                fd = _step(fd, child, levels)
                continue
            levels.pop()
            if levels:
                fd = _move(fd, "..")
                yield fd, name
    finally:
        os.close(fd)


def _step(fd: int, child: str, levels: list[tuple[str, list[str]]]) -> int:
    try:
        inner = _move(fd, child)
    except FileNotFoundError:
        return fd
    levels.append((child, _children(inner)))
    return inner


def _move(fd: int, name: str) -> int:
    """Open the directory beside `fd`, and close that."""
    moved = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    os.close(fd)
    return moved


def _children(fd: int) -> list[str]:
    with os.scandir(fd) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
