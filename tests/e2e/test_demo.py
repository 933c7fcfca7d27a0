"""tools/demo, on a daemon that answers already: it shows a container, and leaves foreign commands alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.harness.daemon import BIN, Daemon

ROOT = Path(__file__).parents[2]
NAMES = ("aethel", "aethel-d", "aethel-run")


def demo(daemon: Daemon, links: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(ROOT / "tools/demo"), str(BIN), str(links)],
        capture_output=True,
        text=True,
        env={**daemon.environment, **environment},
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_shows_a_container_and_links_the_commands(daemon: Daemon, tmp_path: Path) -> None:
    before = daemon.aethel("ps", "-aq").out
    for _ in range(2):
        out = demo(daemon, tmp_path)
        assert "release   Alpine Linux v3.23" in out
        assert "pid 1     sh, and this shell is process 1" in out
        assert f"address   {daemon.subnet.rpartition('.')[0]}." in out
        assert "id map     0 " in out
        assert "left alone" not in out
        assert [os.readlink(tmp_path / name) for name in NAMES] == [f"{BIN}/{name}" for name in NAMES]
    assert daemon.aethel("ps", "-aq").out == before


@pytest.mark.parametrize("kind", ["a file", "a link to a file", "a link that leads nowhere"])
def test_what_is_not_ours_is_left_alone_and_said(daemon: Daemon, tmp_path: Path, kind: str) -> None:
    (tmp_path / "foreign").write_text("#!/bin/sh\n")
    link = tmp_path / "aethel"
    if kind == "a file":
        link.write_text("precious")
    else:
        link.symlink_to(tmp_path / ("foreign" if kind == "a link to a file" else "missing"))
    before = link.lstat()
    out = demo(daemon, tmp_path)
    assert f"{link} is not ours and is left alone" in out
    assert link.lstat().st_ino == before.st_ino
    assert os.readlink(tmp_path / "aethel-d") == f"{BIN}/aethel-d"


def test_a_link_to_another_environment_of_ours_is_replaced(daemon: Daemon, tmp_path: Path) -> None:
    other = tmp_path / "other/.venv"
    (other / "bin").mkdir(parents=True)
    (other / "bin/aethel").write_text("#!/bin/sh\n")
    (other / "lib/python3.11/site-packages/aethel_cli").mkdir(parents=True)
    (tmp_path / "aethel").symlink_to(other / "bin/aethel")
    assert "left alone" not in demo(daemon, tmp_path)
    assert os.readlink(tmp_path / "aethel") == f"{BIN}/aethel"
