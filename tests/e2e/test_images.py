"""Images: built at their first use; a damaged one is told, and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
from pathlib import Path

import msgspec
import pytest

from aethel_storage import digest as digests
from aethel_storage.content import ContentStore
from aethel_storage.oci.documents import CONFIG, LAYER_GZIP, MANIFEST, Descriptor, ImageConfig, Manifest, RootFs
from tests.harness import host
from tests.harness.daemon import Daemon


def manifest_of(daemon: Daemon) -> Path:
    with sqlite3.connect(daemon.state / "aethelred.db") as sql:
        (digest,) = sql.execute("SELECT digest FROM images WHERE name = 'demo-alpine'").fetchone()
    sql.close()
    return daemon.state / "content/blobs/sha256" / digest.removeprefix("sha256:")


def layer_of(daemon: Daemon) -> Path:
    document = json.loads(manifest_of(daemon).read_text())
    return daemon.state / "content/blobs/sha256" / document["layers"][0]["digest"].removeprefix("sha256:")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def test_a_recipe_is_built_at_its_first_use(own_daemon: Daemon) -> None:
    assert own_daemon.aethel("images", "-q").out == ""
    done = own_daemon.shell("cat /etc/alpine-release; apk info 2>/dev/null | wc -l")
    assert done.out.split() == ["3.23.6", "17"]
    assert "building demo-alpine" in done.err
    assert own_daemon.shell("true").err == ""
    missing = own_daemon.aethel("run", "no-such")
    assert "there is: demo-alpine" in missing.err


@pytest.mark.parametrize("damage", ["a flipped byte", "a missing blob", "a cut-off blob", "bad JSON", "not gzip"])
def test_a_damaged_image_is_told_in_one_line(own_daemon: Daemon, damage: str) -> None:
    daemon = own_daemon
    assert daemon.aethel("image", "build", "demo-alpine").code == 0
    (layer_directory,) = [path for path in (daemon.state / "layers").iterdir() if path.is_dir()]
    layer_directory.rename(daemon.root / "unpacked-before")
    layer = layer_of(daemon)
    match damage:
        case "a flipped byte":
            flip(layer, layer.stat().st_size // 2)
        case "a missing blob":
            layer.unlink()
        case "a cut-off blob":
            layer.write_bytes(layer.read_bytes()[:-1000])
        case "bad JSON":
            flip(manifest_of(daemon), 0)
        case "not gzip":
            layer.write_bytes(gzip.compress(b"not a tar"))
    mounts = host.mounts()
    done = daemon.aethel("run", "demo-alpine", "true")
    assert (done.code, len(done.error_lines)) == (125, 1), done.err
    assert "demo-alpine" in done.err
    assert daemon.aethel("ps", "-aq").out == ""
    assert [path.name for path in (daemon.state / "layers").iterdir() if path.is_dir()] == []
    assert host.mounts() == mounts
    assert host.cgroups(daemon.cgroup) == []


def tar(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            file.addfile(header, io.BytesIO(content.encode()))
    return buffer.getvalue()


def put_on_top(daemon: Daemon, name: str, layers: list[bytes]) -> None:
    """A new image: demo-alpine with more layers, the topmost last."""
    content = ContentStore(daemon.state / "content")

    def store(data: bytes, media_type: str) -> Descriptor:
        descriptor = Descriptor(media_type=media_type, digest=digests.of(data), size=len(data))
        content.ingest([data], descriptor)
        return descriptor

    base = msgspec.json.decode(manifest_of(daemon).read_bytes(), type=Manifest)
    config = msgspec.json.decode(content.path(base.config.digest).read_bytes(), type=ImageConfig)
    rootfs = RootFs(diff_ids=(*config.rootfs.diff_ids, *(digests.of(layer) for layer in layers)))
    manifest = Manifest(
        schema_version=2,
        config=store(msgspec.json.encode(msgspec.structs.replace(config, rootfs=rootfs)), CONFIG),
        layers=(*base.layers, *(store(gzip.compress(layer, 1), LAYER_GZIP) for layer in layers)),
    )
    stored = store(msgspec.json.encode(manifest), MANIFEST)
    with sqlite3.connect(daemon.state / "aethelred.db") as sql:
        sql.execute("INSERT INTO images VALUES (?, ?, ?, ?, 0)", (name, stored.digest, MANIFEST, stored.size))
    sql.close()


def test_an_image_may_have_many_layers(own_daemon: Daemon) -> None:
    """On every kernel: those before 6.7 have one page for the names of all."""
    assert own_daemon.aethel("image", "build", "demo-alpine").code == 0
    put_on_top(own_daemon, "many", [tar({f"layers/{number}": "", "top": f"{number}\n"}) for number in range(120)])
    mounts = host.mounts()
    script = "ls /layers | wc -l; cat /top; stat -c %u:%g /layers/7; echo mine > /top && cat /top"
    done = own_daemon.aethel("run", "--rm", "many", "sh", "-c", script)
    assert done.out.split() == ["120", "119", "0:0", "mine"], done.err
    assert host.mounts() == mounts
