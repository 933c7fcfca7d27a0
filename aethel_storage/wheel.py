"""Fetch one wheel of the Python package index, pinned by its SHA-256."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from aethel_common.errors import Exhausted, Unavailable

_NO_SPACE: Final = "No space left on device"


class Wheel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one; `platform` as in the wheel's name."""

    requirement: str
    platform: str
    sha256: str
    size: int


def fetch(wheel: Wheel, directory: Path, progress: Callable[[int, int], None]) -> Path:
    """The file, below `directory`, fetched unless it is there. Raises Unavailable, Exhausted (no space)."""
    kept = directory / wheel.sha256
    found = list(kept.glob("*.whl"))
    if found and _sha256(found[0]) == wheel.sha256:
        return found[0]
    temporary = directory / f".{wheel.sha256}"
    shutil.rmtree(temporary, ignore_errors=True)  # of a fetch that was cut off
    temporary.mkdir(parents=True)
    try:
        _download(wheel, temporary, progress)
        shutil.rmtree(kept, ignore_errors=True)
        temporary.rename(kept)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return next(kept.glob("*.whl"))


def _download(wheel: Wheel, directory: Path, progress: Callable[[int, int], None]) -> None:
    """By pip, so that the user's own index, proxy and certificates hold; it checks the SHA-256."""
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "--no-input", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--platform", wheel.platform, "--progress-bar=raw", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--dest", str(directory), "--requirement", str(requirements)]
    progress(0, wheel.size)
    problem = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            words = line.split()
            if words[:1] == ["Progress"]:
                progress(int(words[1]), int(words[3]))
            elif line.startswith("ERROR") or _NO_SPACE in line:
                problem = line.strip()
    if pip.returncode == 0:
        return
    if _NO_SPACE in problem:
        raise Exhausted(f"fetch {wheel.requirement}: no space left on device", hint="free some space and try again")
    raise Unavailable(f"cannot fetch {wheel.requirement}: {problem or f'pip ended with {pip.returncode}'}")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
