"""Images that are built here from what is pinned or installed: same input, same digest.

A recipe is a directory of `images/` with a recipe.toml, whose `kind` says who carries it out (`alpine`, `busybox`). What
was fetched and what was built is kept in a cache, so that another state root has the image in milliseconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from aethel_common.errors import Corrupt, NotFound, from_os
from aethel_storage import alpine, busybox, tree
from aethel_storage.recipe import Kitchen, Progress


@dataclass(frozen=True, slots=True)
class _Found:
    recipe: alpine.Recipe | busybox.Recipe
    text: bytes
    notice: str

    def key(self, machine: str) -> str:
        """Another recipe, notice, input or machine is another image."""
        parts = (self.text, self.notice.encode(), self.recipe.input(machine).encode(), machine.encode())
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


_DIRECTORIES: Final = (Path(__file__).parent / "recipes_data", Path(__file__).parent.parent / "images")
"""In an installed package, and in a checkout."""


def available() -> list[str]:
    """Names of the recipes that ship with this package, sorted."""
    found = {path.parent.name for directory in _DIRECTORIES for path in directory.glob("*/recipe.toml")}
    return sorted(found)


def build(name: str, cache: Path, progress: Progress, *, machine: str = "") -> Path:
    """An OCI image layout of that recipe below `cache`, built unless it is there already; for this machine by default.

    Raises NotFound (no such recipe), Unavailable (cannot be fetched), Corrupt (not what was pinned), Unsupported (a tool
    or this machine), Exhausted (disk full); nothing half-done stays.
    """
    found = _find(name)
    machine = machine or os.uname().machine
    target = cache / "images" / f"{name}-{found.key(machine)}"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # One at a time: recipes may share what they fetch.
        with open(cache / ".lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():
                _build(found, machine, cache, target, progress)
    except OSError as error:
        raise from_os(error, f"build {name}") from error
    return target


def _find(name: str) -> _Found:
    for directory in _DIRECTORIES:
        path = directory / name / "recipe.toml"
        if name in available() and path.is_file():
            text = path.read_bytes()
            recipe = msgspec.convert(tomllib.loads(text.decode()), type=alpine.Recipe | busybox.Recipe)
            return _Found(recipe, text, (path.parent / "NOTICE").read_text())
    raise NotFound(f"no such recipe: {name}", hint=f"there is: {', '.join(available())}")


def _build(found: _Found, machine: str, cache: Path, target: Path, progress: Progress) -> None:
    work = target.with_name(f".{target.name}")
    shutil.rmtree(work, ignore_errors=True)  # of a build that was cut off
    work.mkdir()
    kitchen = Kitchen(notice=found.notice, machine=machine, sources=cache / "sources", work=work, progress=progress)
    try:
        contents = found.recipe.contents(kitchen)
        progress("write", 0, 0)
        layout = work / "layout"
        diff_id = tree.write_layout(layout, contents.files, contents.configuration, architecture=contents.architecture)
        if contents.diff_id and diff_id != contents.diff_id:
            raise Corrupt(f"recipe {found.recipe.name} built the layer {diff_id}, and pins {contents.diff_id}")
        layout.rename(target)
    finally:
        shutil.rmtree(work)
