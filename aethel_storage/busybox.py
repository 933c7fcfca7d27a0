"""A small root from the host's own busybox-static package, for hosts where nothing can be fetched.

The version is whatever the host has; the program's bytes are part of the image's key, so another one is another image.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from aethel_common.errors import Corrupt, Unsupported
from aethel_storage import tree
from aethel_storage.recipe import Contents, Kitchen

_PACKAGE: Final = "busybox-static"
_INTERPRETER: Final = 3
"""PT_INTERP: the program wants a dynamic loader, which the image would not have. man 5 elf"""
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="busybox"):
    """recipe.toml with kind = "busybox"."""

    name: str
    title: str
    command: tuple[str, ...]
    epoch: int
    directories: Mapping[str, str]
    """Paths, and their modes in octal."""
    files: Mapping[str, str]
    """Paths, and their text; {version} is the package's."""

    def input(self, machine: str) -> str:
        """What the image depends on besides the recipe: the installed program and its package's version.

        Raises Unsupported when the package is not installed, or the image is wanted for another machine.
        """
        if machine != os.uname().machine:
            raise Unsupported(f"recipe {self.name} is made of this host's own program, which is not for {machine}")
        version, program = _installed()
        return f"{version} {hashlib.sha256(program.read_bytes()).hexdigest()}"

    def contents(self, kitchen: Kitchen) -> Contents:
        """The image. Raises Unsupported (not installed, not static)."""
        version, program = _installed()
        kitchen.progress("read", 0, 0)
        data = program.read_bytes()
        if not is_static(data):
            raise Unsupported(f"{program} is not statically linked", hint=f"apt-get install {_PACKAGE}")
        files = {
            path: tree.File(path=path, mode=int(mode, 8), is_directory=True) for path, mode in self.directories.items()
        }
        files["bin/busybox"] = tree.File(path="bin/busybox", mode=0o755, content=data)
        for path in _applets(program):
            files.setdefault(path, tree.File(path=path, mode=0o777, link="/bin/busybox"))
        for path, text in self.files.items():
            content = text.replace("{version}", version).encode()
            files[path] = tree.File(path=path, mode=0o644, content=content)
        _check_parents(files)
        labels = {
            "org.opencontainers.image.title": self.title,
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "GPL-2.0-only",
            "aethelred.packages": f"{_PACKAGE}-{version}",
            "aethelred.notice": kitchen.notice,
        }
        return Contents(
            files=[msgspec.structs.replace(files[path], mtime=self.epoch) for path in sorted(files)],
            configuration=tree.Configuration(command=self.command, labels=labels, epoch=self.epoch),
            architecture=_ARCHITECTURES.get(kitchen.machine, kitchen.machine),
            diff_id="",
        )


def is_static(program: bytes) -> bool:
    """Whether an ELF program of 64 bits, little-endian, names no interpreter. man 5 elf"""
    if program[:6] != b"\x7fELF\x02\x01":
        return False
    offset = int.from_bytes(program[32:40], "little")
    size, count = (int.from_bytes(program[at : at + 2], "little") for at in (54, 56))
    headers = (program[offset + number * size :][:4] for number in range(count))
    return all(int.from_bytes(header, "little") != _INTERPRETER for header in headers)


def _installed() -> tuple[str, Path]:
    """Version and program of the package. man 1 dpkg-query"""
    version = _output(["dpkg-query", "--show", "--showformat=${Version}", _PACKAGE])
    listed = _output(["dpkg-query", "--listfiles", _PACKAGE]).splitlines()
    for path in listed:
        if path.endswith("/bin/busybox"):
            return version, Path(path)
    raise Unsupported(f"the package {_PACKAGE} is not installed", hint=f"apt-get install {_PACKAGE}")


def _applets(program: Path) -> list[str]:
    """The paths that it wants to be known by, such as bin/ash."""
    return sorted(path for path in _output([str(program), "--list-full"]).split() if "/" in path)


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unsupported(f"{command[0]} is not there: this is not Debian") from None
    return done.stdout.strip() if done.returncode == 0 else ""


def _check_parents(files: Mapping[str, tree.File]) -> None:
    for path in files:
        parent = str(Path(path).parent)
        if parent != "." and parent not in files:
            raise Corrupt(f"the recipe lacks the directory {parent} of {path}")
