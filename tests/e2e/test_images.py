"""Images: built at their first use; a damaged one is told, and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import sqlite3
import tarfile

import msgspec

from aethel_storage import digest as digests
from aethel_storage.content import ContentStore
from aethel_storage.oci.documents import CONFIG, LAYER_GZIP, MANIFEST, Descriptor, ImageConfig, Manifest, RootFs
from tests.harness import host
from tests.harness.daemon import Daemon


def test_a_recipe_is_built_at_its_first_use(own_daemon: Daemon) -> None:
    assert own_daemon.aethel("images", "-q").out == ""
    done = own_daemon.shell("cat /etc/alpine-release; apk info 2>/dev/null | wc -l")
    assert done.out.split() == ["3.23.6", "17"]
    assert "building demo-alpine" in done.err
    assert own_daemon.shell("true").err == ""
    missing = own_daemon.aethel("run", "no-such")
    assert "there is: demo-alpine" in missing.err


def test_the_package_manager_finds_every_file_as_it_should_be(daemon: Daemon) -> None:
    done = daemon.shell("apk audit --system && echo audited; echo x >> /usr/bin/ldd; apk audit --system")
    assert done.out == "audited\nU usr/bin/ldd\n", done.err


def test_the_fallback_image_says_what_it_is(daemon: Daemon) -> None:
    done = daemon.aethel(
        "run", "--rm", "-q", "demo-busybox", "sh", "-c", "cat /etc/os-release; id -un; ls /bin/ash; pwd"
    )
    assert done.code == 0, done.err
    assert "ID=demo-busybox" in done.out
    assert done.out.splitlines()[-3:] == ["root", "/bin/ash", "/"]
    assert "alpine" not in done.out.lower()
    assert "demo-busybox" in daemon.aethel("images").out


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

    ((digest,),) = daemon.rows("SELECT digest FROM images WHERE name = 'demo-alpine'")
    base = msgspec.json.decode(content.path(str(digest)).read_bytes(), type=Manifest)
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
    mounts = host.mounts_of(own_daemon.root)
    script = "ls /layers | wc -l; cat /top; stat -c %u:%g /layers/7; echo mine > /top && cat /top"
    done = own_daemon.aethel("run", "--rm", "many", "sh", "-c", script)
    assert done.out.split() == ["120", "119", "0:0", "mine"], done.err
    assert host.mounts_of(own_daemon.root) == mounts
