"""A layer cannot get out of its directory, and comes out as it went in."""

from __future__ import annotations

import gzip
import io
import os
import random
import resource
import stat
import tarfile
from pathlib import Path

import pytest
import zstandard

from aethel_common.errors import AethelError, Corrupt
from aethel_storage import digest as digests
from aethel_storage.content import ContentStore
from aethel_storage.extract import extract
from aethel_storage.images import Image
from aethel_storage.layers import LayerStore
from aethel_storage.oci.documents import LAYER_GZIP, Descriptor, RunConfig


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: int) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.mode = kind, link, 0o644
    for field, value in fields.items():
        setattr(header, field, value)
    content = b"content" if kind == tarfile.REGTYPE else b""
    header.size = len(content)
    return header, content


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for header, content in entries:
            tar.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def unpack(directory: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    return unpack_bytes(directory, archive(*entries))


def unpack_bytes(directory: Path, data: bytes) -> Path:
    root = directory / "root"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    try:
        extract(io.BytesIO(data), fd, "a layer")  # type: ignore[arg-type]
    finally:
        os.close(fd)
    return root


def header_of(data: bytes, **fields: bytes) -> bytes:
    """The first header of an archive with some fields changed, and a checksum that agrees. man 5 tar"""
    places = {"size": 124, "uid": 108, "type": 156}
    block = bytearray(data[:512])
    for name, value in fields.items():
        block[places[name] : places[name] + len(value)] = value
    total = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../out")],
        [entry("a/../../out")],
        [entry("link", tarfile.SYMTYPE, "/"), entry("link/out")],
        [entry("link", tarfile.SYMTYPE, ".."), entry("link/out")],
        [entry("d", tarfile.DIRTYPE), entry("d", tarfile.SYMTYPE, ".."), entry("d/out")],
        [entry("hard", tarfile.LNKTYPE, "../out")],
        [entry("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [entry("link", tarfile.SYMTYPE, "/etc"), entry("hard", tarfile.LNKTYPE, "link/passwd")],
        [entry(".wh...")],
        [entry("d", tarfile.DIRTYPE), entry("hard", tarfile.LNKTYPE, "d")],
    ],
)
def test_ways_out_are_refused(tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with pytest.raises(Corrupt):
        unpack(tmp_path, *entries)
    assert os.listdir(tmp_path) == ["root"]


def test_an_absolute_name_is_taken_inside(tmp_path: Path) -> None:
    root = unpack(tmp_path, entry("/etc/file"))
    assert (root / "etc/file").read_bytes() == b"content"


def test_a_file_replaces_a_link_and_is_not_written_through_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    root = unpack(tmp_path, entry("x", tarfile.SYMTYPE, str(victim)), entry("x"))
    assert victim.read_text() == "untouched"
    assert not (root / "x").is_symlink()


def test_owners_modes_times_and_links(tmp_path: Path) -> None:
    root = unpack(
        tmp_path,
        entry("d", tarfile.DIRTYPE, mode=0o1777, uid=5, gid=6, mtime=1000),
        entry("d/set", mode=0o4755, uid=7, gid=8, mtime=2000),
        entry("d/hard", tarfile.LNKTYPE, "d/set"),
        entry("d/soft", tarfile.SYMTYPE, "/not/there"),
    )
    directory, file = (root / "d").stat(), (root / "d/set").stat()
    assert (stat.S_IMODE(directory.st_mode), directory.st_uid, directory.st_gid, directory.st_mtime) == (
        0o1777,
        5,
        6,
        1000,
    )
    assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_gid, file.st_mtime) == (0o4755, 7, 8, 2000)
    assert (root / "d/hard").stat().st_ino == file.st_ino
    assert os.readlink(root / "d/soft") == "/not/there"


def test_whiteouts_become_what_overlayfs_knows(tmp_path: Path) -> None:
    root = unpack(tmp_path, entry("d", tarfile.DIRTYPE, mode=0o755), entry("d/.wh..wh..opq"), entry(".wh.gone"))
    status = (root / "gone").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == 0
    assert os.getxattr(root / "d", "trusted.overlay.opaque") == b"y"


def test_bookkeeping_of_aufs_is_left_out(tmp_path: Path) -> None:
    assert os.listdir(unpack(tmp_path, entry(".wh..wh.plnk"), entry(".wh..wh.aufs"))) == []


def test_a_directory_hidden_and_made_anew_hides_what_was_in_it(tmp_path: Path) -> None:
    root = unpack(tmp_path, entry(".wh.d"), entry("d", tarfile.DIRTYPE, mode=0o755), entry("d/new"))
    assert os.getxattr(root / "d", "trusted.overlay.opaque") == b"y"
    assert os.listdir(root / "d") == ["new"]


@pytest.mark.parametrize(
    "replacement", [entry("d"), entry("d", tarfile.SYMTYPE, "/elsewhere"), entry(".wh.d")], ids=["file", "link", "none"]
)
def test_a_directory_may_be_replaced_in_its_own_layer(
    tmp_path: Path, replacement: tuple[tarfile.TarInfo, bytes]
) -> None:
    root = unpack(tmp_path, entry("d", tarfile.DIRTYPE, mtime=5), replacement)
    assert not stat.S_ISDIR((root / "d").lstat().st_mode)


def test_attributes_of_users_and_programs_are_kept_and_no_others(tmp_path: Path) -> None:
    header, content = entry("program", mode=0o755)
    capability = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service, effective
    header.pax_headers = {
        "SCHILY.xattr.user.note": "kept",
        "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"),
        "SCHILY.xattr.trusted.overlay.opaque": "y",
    }
    fifo, nothing = entry("fifo", tarfile.FIFOTYPE)
    fifo.pax_headers = {"SCHILY.xattr.user.note": "impossible"}
    root = unpack(tmp_path, (header, content), (fifo, nothing))
    assert sorted(os.listxattr(root / "program")) == ["security.capability", "user.note"]
    assert os.getxattr(root / "program", "security.capability") == capability


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, b"?"])
def test_a_made_up_size_is_told_at_once(tmp_path: Path, kind: bytes) -> None:
    """Neither skipped over block by block for hours, nor read into memory: 2**62 bytes, and the archive ends."""
    data = header_of(archive(entry("x")), size=b"\x80\0\0\0" + (2**62).to_bytes(8, "big"), type=kind)
    with pytest.raises(Corrupt):
        unpack_bytes(tmp_path, data + bytes(1024 * 64))


def test_long_names_have_a_bound(tmp_path: Path) -> None:
    data = header_of(archive(entry("x")), size=b"%011o\0" % (64 * 1024**2), type=tarfile.GNUTYPE_LONGNAME)
    with pytest.raises(Corrupt, match="long names"):
        unpack_bytes(tmp_path, data + bytes(64 * 1024**2))


def test_an_owner_below_zero_is_refused(tmp_path: Path) -> None:
    """chown(2) takes -1 for "leave it": the file would belong to root."""
    data = header_of(archive(entry("x")), uid=b"\xff" * 8)
    with pytest.raises(Corrupt, match="belongs to"):
        unpack_bytes(tmp_path, data + b"content".ljust(512, b"\0") + bytes(1024))


def test_whatever_bytes_come_the_answer_is_a_layer_or_an_error_of_ours(tmp_path: Path) -> None:
    good = archive(
        entry("d", tarfile.DIRTYPE),
        entry("d/" + "n" * 120),
        entry("s", tarfile.SYMTYPE, "x"),
        entry("c", tarfile.CHRTYPE, devmajor=1, devminor=3),
    )
    chance = random.Random(3)
    for number in range(300):
        data = bytearray(good)
        for _ in range(chance.choice((1, 2, 5))):
            data[chance.randrange(len(data))] = chance.choice((0, 0x2D, 0x39, 0x80, 0xFF, chance.randrange(256)))
        for at in range(0, len(data), 512):
            if data[at + 257 : at + 262] == b"ustar":
                data[at : at + 512] = header_of(bytes(data[at : at + 512]))
        (tmp_path / str(number)).mkdir()
        try:
            unpack_bytes(tmp_path / str(number), bytes(data))
        except (Corrupt, OSError):
            pass


def test_a_file_that_does_not_fit_is_an_error_and_not_a_short_file(tmp_path: Path) -> None:
    """write(2) on a disk that fills up takes what fits, and says so only by its result."""
    header, _ = entry("big")
    header.size = 300_000
    data = archive((header, b"x" * header.size))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OSError):
            unpack_bytes(tmp_path, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# -- compressed, through the store -------------------------------------------------------------------

PLAIN = archive(entry("file"), entry("other"))


def store(directory: Path, blob: bytes) -> tuple[LayerStore, Image]:
    """A store that holds `blob` as the layer of an image, under the digest that it has."""
    content = ContentStore(directory / "content")
    layer = Descriptor(media_type=LAYER_GZIP, digest=digests.of(blob), size=len(blob))
    content.ingest([blob], layer)
    image = Image(
        name="x",
        digest=digests.of(b"manifest"),
        config=RunConfig(),
        layers=(layer,),
        diff_ids=(digests.of(PLAIN),),
        size=1,
        created_ns=1,
    )
    return LayerStore(directory / "layers", content), image


def problem(layers: LayerStore, image: Image) -> AethelError | None:
    try:
        layers.unpack(image)
    except AethelError as error:
        return error
    return None


def compressed(how: str) -> bytes:
    if how == "plain":
        return PLAIN
    if how == "gzip":
        return gzip.compress(PLAIN)
    if how == "gzip, two members":
        return gzip.compress(PLAIN[:700]) + gzip.compress(PLAIN[700:])
    frames = [PLAIN] if how == "zstd" else [PLAIN[:700], PLAIN[700:]]
    return b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(frame) for frame in frames)


@pytest.mark.parametrize("how", ["plain", "gzip", "gzip, two members", "zstd", "zstd, two frames"])
def test_a_layer_is_unpacked_by_what_its_bytes_are(tmp_path: Path, how: str) -> None:
    layers, image = store(tmp_path, compressed(how))
    (directory,) = layers.unpack(image)
    assert sorted(os.listdir(directory)) == ["file", "other"]
    assert layers.unpack(image) == (directory,)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_damage_anywhere_is_told_and_nothing_stays(tmp_path: Path, how: str) -> None:
    """The digest agrees each time: it was damaged before it was named."""
    good = compressed(how)
    for at in range(0, len(good), 3):
        for damaged in (good[:at], good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]):
            directory = tmp_path / f"{at}-{len(damaged)}"
            layers, image = store(directory, damaged)
            error = problem(layers, image)
            if error is not None:
                assert isinstance(error, Corrupt), error
                assert "image x" in error.message
                assert os.listdir(directory / "layers") == [".lock"]


def test_a_blob_that_changed_in_the_store_is_told(tmp_path: Path) -> None:
    layers, image = store(tmp_path, compressed("gzip"))
    path = ContentStore(tmp_path / "content").path(image.layers[0].digest)
    path.write_bytes(gzip.compress(PLAIN, mtime=1))
    with pytest.raises(Corrupt, match="is damaged"):
        layers.unpack(image)
    assert os.listdir(tmp_path / "layers") == [".lock"]
