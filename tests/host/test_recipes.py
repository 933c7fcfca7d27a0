"""The recipes: the same input gives the same bytes, and every file is what its package says."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from aethel_common.errors import Corrupt, NotFound, Unavailable, Unsupported
from aethel_storage import alpine, busybox, recipes, wheel
from tests.harness.daemon import CACHE

ROOT = Path(__file__).parents[2]
MACHINES = ("x86_64", "aarch64")


def quietly(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def sources() -> Path:
    """Where the wheels are kept across runs: each is fetched once."""
    CACHE.mkdir(exist_ok=True)
    for machine in MACHINES:
        recipes.build("demo-alpine", CACHE, quietly, machine=machine)
    return CACHE / "sources"


class Built:
    """An image layout, read with nothing of ours."""

    def __init__(self, layout: Path) -> None:
        self.layout = layout
        self.index = json.loads((layout / "index.json").read_text())
        self.digest = self.index["manifests"][0]["digest"]
        self.manifest = json.loads(self.blob(self.digest))
        self.config = json.loads(self.blob(self.manifest["config"]["digest"]))
        self.tar = gzip.decompress(self.blob(self.manifest["layers"][0]["digest"]))
        with tarfile.open(fileobj=io.BytesIO(self.tar)) as tar:
            self.entries = {entry.name: entry for entry in tar}
            self.contents = {e.name: tar.extractfile(e).read() for e in tar if e.isreg()}  # type: ignore[union-attr]

    def blob(self, digest: str) -> bytes:
        data = (self.layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
        assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
        return data


def build(name: str, cache: Path, sources: Path, machine: str = "") -> Built:
    """In a cache that holds nothing but what was fetched."""
    cache.mkdir()
    (cache / "sources").symlink_to(sources)
    return Built(recipes.build(name, cache, quietly, machine=machine))


def pinned(machine: str) -> str:
    document = tomllib.loads((ROOT / "images/demo-alpine/recipe.toml").read_text())
    return next(each["diff_id"] for each in document["sources"] if each["machine"] == machine)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, sources: Path, machine: str) -> None:
    names = ("one", "other") if machine == os.uname().machine else ("one",)
    built = [build("demo-alpine", tmp_path / name, sources, machine) for name in names]
    assert len({each.digest for each in built}) == 1
    for each in built:
        assert each.config["rootfs"]["diff_ids"] == [pinned(machine)]
        assert "sha256:" + hashlib.sha256(each.tar).hexdigest() == pinned(machine)
        assert os.listdir(each.layout.parent) == [each.layout.name]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_file_is_what_its_package_says(sources: Path, machine: str) -> None:
    """The package database is read once more here, by other code than the builder's."""
    image = Built(recipes.build("demo-alpine", CACHE, quietly, machine=machine))
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[machine]
    assert (image.config["architecture"], image.config["os"]) == (architecture, "linux")
    seen: set[str] = set()
    for record in image.contents["lib/apk/db/installed"].decode().strip().split("\n\n"):
        assert f"A:{machine}" in record.splitlines()
        seen |= check_record(image, record)
    own = {"etc/apk/world", "lib/apk/db/installed", "lib/apk/db/lock", "lib/apk/db/triggers"}
    others = set(image.entries) - seen - own
    applets = {name for name in others if image.entries[name].linkname == "/bin/busybox"}
    assert len(applets) > 250
    assert others - applets <= {"lib/apk/db"}
    assert {entry.mtime for entry in image.entries.values()} == {1774422169}


def check_record(image: Built, record: str) -> set[str]:
    """The paths of one package; each compared with what the image has there."""
    directory, name = "", ""
    expected: dict[str, tuple[int, int, int]] = {}
    sums: dict[str, bytes] = {}
    for line in record.splitlines():
        key, value = line[0], line[2:]
        if key == "F":
            directory = value
            expected[directory] = (0, 0, 0o755)
        elif key == "R":
            name = f"{directory}/{value}"
            expected[name] = (0, 0, 0o644)
        elif key in "Ma":
            uid, gid, mode = value.split(":")[:3]
            expected[directory if key == "M" else name] = (int(uid), int(gid), int(mode, 8))
        elif key == "Z":
            sums[name] = base64.b64decode(value.removeprefix("Q1"))
    expected.pop("", None)
    for path, (uid, gid, mode) in expected.items():
        entry = image.entries[path]
        assert (entry.uid, entry.gid) == (uid, gid), path
        if not entry.issym():
            assert entry.mode == mode, path
    for path, digest in sums.items():
        if path == "etc/shadow":  # the one file that is ours: see NOTICE
            assert image.contents[path].startswith(b"root:*::0:::::\n")
            continue
        entry = image.entries[path]
        data = entry.linkname.encode() if entry.issym() else image.contents[path]
        assert hashlib.sha1(data, usedforsecurity=False).digest() == digest, path
    return set(expected)


def test_another_layer_than_the_pinned_one_is_refused(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = alpine._applets
    monkeypatch.setattr(alpine, "_applets", lambda root: original(root)[1:])
    with pytest.raises(Corrupt, match="pins sha256:"):
        build("demo-alpine", tmp_path / "cache", sources)
    assert os.listdir(tmp_path / "cache/images") == []


def test_a_file_that_differs_from_its_package_is_refused(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = alpine.Edits.apply
    monkeypatch.setattr(
        alpine.Edits, "apply", lambda self, path, data: original(self, path, data) + b"x" * (path == "bin/busybox")
    )
    with pytest.raises(Corrupt, match="/bin/busybox is not what its package says"):
        build("demo-alpine", tmp_path / "cache", sources)
    assert os.listdir(tmp_path / "cache/images") == []


def test_what_a_killed_build_left_is_put_away(tmp_path: Path, sources: Path) -> None:
    finished = Built(recipes.build("demo-alpine", CACHE, quietly))
    cache = tmp_path / "cache"
    half = cache / "images" / f".{finished.layout.name}"
    half.mkdir(parents=True)
    (half / "disk.raw").write_bytes(b"half")
    (cache / "sources").symlink_to(sources)
    assert Built(recipes.build("demo-alpine", cache, quietly)).digest == finished.digest
    assert os.listdir(cache / "images") == [finished.layout.name]


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such recipe"):
        recipes.build("../demo-alpine", tmp_path, quietly)
    with pytest.raises(Unsupported, match="riscv64"):
        recipes.build("demo-alpine", tmp_path, quietly, machine="riscv64")
    missing = wheel.Wheel(requirement="aethelred-no-such==1.0", platform="any", sha256="0" * 64, size=1)
    with pytest.raises(Unavailable, match="cannot fetch aethelred-no-such"):
        wheel.fetch(missing, tmp_path / "sources", lambda done, total: None)
    assert os.listdir(tmp_path / "sources") == []


FULL = """
import sys
from pathlib import Path
from aethel_common.errors import Exhausted
from aethel_storage import recipes
try:
    recipes.build("demo-alpine", Path(sys.argv[1]), lambda stage, done, total: None)
except Exhausted as error:
    print(error)
print([path.name for path in Path(sys.argv[1], "images").iterdir()])
"""


@pytest.mark.parametrize("megabytes", [30, 120, 150])
def test_a_cache_on_a_full_disk_is_said_in_a_line(tmp_path: Path, sources: Path, megabytes: int) -> None:
    """While the disk image is taken out, while it is made a raw one, and in debugfs, which ends with 0 all the same."""
    script = f'mount -t tmpfs -o size={megabytes}m tmpfs "$1" && ln -s "$2" "$1/sources" && exec "$3" -c "$4" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "-", str(tmp_path), str(sources), sys.executable, FULL],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    first, rest = done.stdout.splitlines()
    assert "no space left on device" in first.lower()
    assert rest == "[]"


# -- demo-busybox --------------------------------------------------------------------------------------


def test_busybox_gives_the_same_bytes_and_says_what_it_is(tmp_path: Path) -> None:
    one, other = (Built(recipes.build("demo-busybox", tmp_path / name, quietly)) for name in ("one", "other"))
    assert one.digest == other.digest
    labels = one.config["config"]["Labels"]
    show = ["dpkg-query", "--show", "--showformat=${Version}", "busybox-static"]
    version = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    assert labels["org.opencontainers.image.version"] == version
    assert labels["aethelred.packages"] == f"busybox-static-{version}"
    assert "alpine" not in json.dumps(one.config).lower()
    assert version in one.contents["etc/os-release"].decode()
    assert busybox.is_static(one.contents["bin/busybox"])
    assert one.entries["bin/sh"].linkname == "/bin/busybox"
    assert not any(name.startswith("/") or ".." in name for name in one.entries)
    machine = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    with pytest.raises(Unsupported, match=machine):
        recipes.build("demo-busybox", tmp_path / "third", quietly, machine=machine)


def test_a_program_that_wants_a_loader_is_known(tmp_path: Path) -> None:
    assert not busybox.is_static(Path(sys.executable).resolve().read_bytes())
    assert not busybox.is_static(b"#!/bin/sh\n")
