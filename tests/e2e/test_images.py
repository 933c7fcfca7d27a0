"""Images: built at their first use; a damaged one is told, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import pytest

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
