"""Images that are built here, from a source that is pinned by its SHA-256: same input, same digest.

A recipe is a directory of `images/` with a recipe.toml. What was fetched and what was built is kept in a cache, so that
another state root has the image in milliseconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from aethel_common.errors import Corrupt, NotFound, Unavailable, Unsupported
from aethel_storage import apk, qcow2, tree

Progress = Callable[[str, int, int], None]
"""Called with a stage in a few words, and how much of how much is done (0: not known)."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the files come from: one wheel of the Python package index."""

    requirement: str
    disk: str
    architecture: str
    machine: str
    sha256: str
    size: int


class Packages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to take from the disk."""

    names: tuple[str, ...]


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


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """recipe.toml"""

    name: str
    title: str
    version: str
    command: tuple[str, ...]
    epoch: int
    source: Source
    packages: Packages
    restore: Edits
    harden: Edits


@dataclass(frozen=True, slots=True)
class _Found:
    recipe: Recipe
    key: str
    """Digest of the recipe and its notice: another recipe is another image."""
    notice: str


_DIRECTORIES: Final = (Path(__file__).parent / "recipes_data", Path(__file__).parent.parent / "images")
"""In an installed package, and in a checkout."""


def available() -> list[str]:
    """Names of the recipes that ship with this package, sorted."""
    found = {path.parent.name for directory in _DIRECTORIES for path in directory.glob("*/recipe.toml")}
    return sorted(found)


def build(name: str, cache: Path, progress: Progress) -> Path:
    """An OCI image layout of that recipe below `cache`, built unless it is there already.

    Raises NotFound (no such recipe), Unavailable (cannot be fetched), Corrupt (not what was pinned), Unsupported (a tool
    or this machine).
    """
    found = _find(name)
    target = cache / "images" / f"{name}-{found.key[:16]}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(cache / "images" / f".{name}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _build(found, cache, target, progress)
    return target


def _find(name: str) -> _Found:
    for directory in _DIRECTORIES:
        path = directory / name / "recipe.toml"
        if name in available() and path.is_file():
            text = path.read_bytes()
            notice = (path.parent / "NOTICE").read_text()
            recipe = msgspec.convert(tomllib.loads(text.decode()), type=Recipe)
            return _Found(recipe, hashlib.sha256(text + notice.encode()).hexdigest(), notice)
    raise NotFound(f"no such recipe: {name}", hint=f"there is: {', '.join(available())}")


def _build(found: _Found, cache: Path, target: Path, progress: Progress) -> None:
    recipe = found.recipe
    if os.uname().machine != recipe.source.machine:
        raise Unsupported(f"recipe {recipe.name} is for {recipe.source.machine}, and this is {os.uname().machine}")
    wheel = _fetch(recipe, cache / "sources", progress)
    work = target.with_name(f".{target.name}.{os.getpid()}")
    work.mkdir()
    try:
        root = _unpack_disk(recipe, wheel, work, progress)
        files = _select(recipe, root, progress)
        layout = work / "layout"
        progress("write", 0, 0)
        tree.write_layout(layout, files, _configuration(found, files), architecture=recipe.source.architecture)
        layout.rename(target)
    finally:
        shutil.rmtree(work)


def _fetch(recipe: Recipe, sources: Path, progress: Progress) -> Path:
    source = recipe.source
    directory = sources / source.sha256
    wheels = list(directory.glob("*.whl"))
    if wheels and _sha256(wheels[0]) == source.sha256:
        return wheels[0]
    temporary = directory.with_name(f".{source.sha256}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        _download(source, temporary, progress)
        shutil.rmtree(directory, ignore_errors=True)
        temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return next(directory.glob("*.whl"))


def _download(source: Source, directory: Path, progress: Progress) -> None:
    """By pip, so that the user's own index, proxy and certificates hold; it checks the SHA-256."""
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n")
    command = [sys.executable, "-m", "pip", "--no-input", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--progress-bar=raw", "--disable-pip-version-check"]
    command += ["--no-cache-dir", "--dest", str(directory), "--requirement", str(requirements)]
    progress("fetch", 0, source.size)
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            words = line.split()
            if words[:1] == ["Progress"]:
                progress("fetch", int(words[1]), int(words[3]))
            elif line.startswith("ERROR"):
                last = line.strip()
    if pip.returncode != 0:
        raise Unavailable(f"cannot fetch {source.requirement}: {last or f'pip ended with {pip.returncode}'}")


def _unpack_disk(recipe: Recipe, wheel: Path, work: Path, progress: Progress) -> Path:
    debugfs = shutil.which("debugfs", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if debugfs is None:
        raise Unsupported("debugfs is needed to read the disk image", hint="apt-get install e2fsprogs")
    raw, root = work / "disk.raw", work / "root"
    root.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(recipe.source.disk, work)
    with open(work / recipe.source.disk, "rb") as disk:
        qcow2.convert(disk, raw, lambda done, total: progress("unpack", done, total))
    done = subprocess.run([debugfs, "-R", f"rdump / {root}", str(raw)], capture_output=True, text=True, check=False)
    if not (root / "lib/apk/db/installed").is_file():
        raise Corrupt(f"debugfs could not read the disk image: {done.stderr.strip()[:200]}")
    raw.unlink()
    return root


def _select(recipe: Recipe, root: Path, progress: Progress) -> list[tree.File]:
    """The files of the packages, each checked against the database; applet links; the database itself, cut down."""
    database = (root / "lib/apk/db/installed").read_text()
    try:
        records = apk.records(database, recipe.packages.names)
    except KeyError as error:
        raise Corrupt(f"the disk image lacks the package {error.args[0]}") from error
    files: dict[str, tree.File] = {}
    for done, record in enumerate(records):
        progress("check", done, len(records))
        for entry in apk.entries(record):
            files[entry.path] = _file(recipe, root, entry)
    for name, target in _applets(root):
        files.setdefault(name, tree.File(path=name, mode=0o777, link=target))
    own = {
        "lib/apk/db/installed": "\n\n".join(record.strip("\n") for record in records) + "\n\n",
        "etc/apk/world": "".join(f"{name}\n" for name in recipe.packages.names),
        "lib/apk/db/triggers": "",
        "lib/apk/db/lock": "",
    }
    for path, text in own.items():
        files[path] = tree.File(path=path, mode=0o644, content=text.encode())
        for parent in list(Path(path).parents)[:-1]:
            files.setdefault(str(parent), tree.File(path=str(parent), mode=0o755, is_directory=True))
    return [msgspec.structs.replace(files[path], mtime=recipe.epoch) for path in sorted(files) if path]


def _file(recipe: Recipe, root: Path, entry: apk.Entry) -> tree.File:
    owner = {"path": entry.path, "mode": entry.mode, "uid": entry.uid, "gid": entry.gid}
    if entry.sha1 is None:
        return tree.File(**owner, is_directory=True)  # type: ignore[arg-type]
    source = root / entry.path
    is_link = source.is_symlink()
    data = os.readlink(source).encode() if is_link else source.read_bytes()
    data = recipe.restore.apply(entry.path, data)
    if not apk.matches(entry, data):
        raise Corrupt(f"/{entry.path} is not what its package says")
    data = recipe.harden.apply(entry.path, data)
    if is_link:
        return tree.File(**owner, link=data.decode())  # type: ignore[arg-type]
    return tree.File(**owner, content=data)  # type: ignore[arg-type]


def _applets(root: Path) -> list[tuple[str, str]]:
    """busybox is one program with some three hundred names."""
    found: list[tuple[str, str]] = []
    for directory in ("bin", "sbin", "usr/bin", "usr/sbin"):
        for path in (root / directory).iterdir():
            if path.is_symlink() and os.readlink(path) == "/bin/busybox":
                found.append((f"{directory}/{path.name}", "/bin/busybox"))
    return found


def _configuration(found: _Found, files: list[tree.File]) -> tree.Configuration:
    recipe = found.recipe
    database = next(file.content for file in files if file.path == "lib/apk/db/installed")
    fields = [
        dict(line.split(":", 1) for line in r.splitlines() if ":" in line) for r in database.decode().split("\n\n")
    ]
    licences = sorted({field["L"] for field in fields if "L" in field})
    packages = " ".join(f"{field['P']}-{field['V']}" for field in fields if "P" in field)
    labels = {
        "org.opencontainers.image.title": recipe.title,
        "org.opencontainers.image.version": recipe.version,
        "org.opencontainers.image.licenses": " AND ".join(licences),
        "aethelred.packages": packages,
        "aethelred.notice": found.notice,
    }
    return tree.Configuration(command=recipe.command, labels=labels, epoch=recipe.epoch)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
