"""A layer cannot get out of its directory, and comes out as it went in."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from aethel_common.errors import Corrupt
from aethel_storage.extract import extract


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: int) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.mode = kind, link, 0o644
    for field, value in fields.items():
        setattr(header, field, value)
    content = b"content" if kind == tarfile.REGTYPE else b""
    header.size = len(content)
    return header, content


def unpack(directory: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for header, content in entries:
            tar.addfile(header, io.BytesIO(content))
    buffer.seek(0)
    root = directory / "root"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    try:
        extract(buffer, fd, "a layer")  # type: ignore[arg-type]
    finally:
        os.close(fd)
    return root


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
