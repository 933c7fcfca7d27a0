"""build-proto, as a command: regenerating changes nothing, a stale stub is noticed, and it says where it must be run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "aethel_common" / "rpc"


def build_proto(directory: Path) -> subprocess.CompletedProcess[str]:
    # The module of this checkout, run elsewhere: -P keeps the directory it is run in off the path.
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from aethel_common.build_proto import main; main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=directory, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the command reads and writes."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copytree(STUBS, tmp_path / "aethel_common/rpc", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def texts(checkout: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (checkout / "aethel_common/rpc").iterdir()}


def test_regenerating_changes_nothing(checkout: Path) -> None:
    before = texts(checkout)
    done = build_proto(checkout)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("wrote aethel_common/rpc/aethel_pb2.py")
    assert texts(checkout) == before


@pytest.mark.parametrize("name", ["aethel_pb2.py", "aethel_pb2.pyi", "aethel_pb2_grpc.py"])
def test_a_changed_stub_is_put_right(checkout: Path, name: str) -> None:
    before = texts(checkout)
    path = checkout / "aethel_common/rpc" / name
    path.write_text(path.read_text() + "# changed by hand\n")
    assert build_proto(checkout).returncode == 0
    assert texts(checkout) == before


def test_a_changed_proto_makes_other_stubs(checkout: Path) -> None:
    before = texts(checkout)
    proto = checkout / "proto/aethel.proto"
    proto.write_text(proto.read_text() + "\nmessage Added { string field = 1; }\n")
    assert build_proto(checkout).returncode == 0
    after = texts(checkout)
    assert {name for name in after if after[name] != before[name]} == {"aethel_pb2.py", "aethel_pb2.pyi"}


def test_a_proto_that_cannot_be_read_changes_nothing(checkout: Path) -> None:
    before = texts(checkout)
    (checkout / "proto/aethel.proto").write_text('syntax = "proto3";\nnonsense\n')
    done = build_proto(checkout)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "build-proto: protoc ended with 1"
    assert texts(checkout) == before


def test_away_from_a_checkout_it_says_where_to_go(tmp_path: Path) -> None:
    done = build_proto(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("build-proto: run it in the root of a checkout; there is no proto/aethel.proto here\n")
