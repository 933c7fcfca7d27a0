"""Every example of docs/aethel-run.md works as it stands, in order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.runtime import RUNTIME

GUIDE = Path(__file__).parents[2] / "docs/aethel-run.md"


def test_the_guide_s_examples(tmp_path: Path) -> None:
    lines = [line for line in re.findall(r"^    (\S.*)$", GUIDE.read_text(), re.MULTILINE) if "podman" not in line]
    assert len(lines) > 15
    path = f"{Path(RUNTIME).parent}:{os.environ['PATH']}"
    for line in lines:
        line = line.replace("aethel-run ", f"aethel-run --root {tmp_path}/root ")
        with open(tmp_path / "output", "ab") as output:
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=tmp_path,
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                timeout=60,
            )
        assert done.returncode == 0, (line, (tmp_path / "output").read_text())
    text = (tmp_path / "output").read_text()
    assert "I am process 1" in text
    assert "paused" in text
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_what_is_not_there_says_so(verb: str) -> None:
    done = subprocess.run([RUNTIME, verb, "one"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "this runtime cannot save a container's memory" in done.stderr


@pytest.mark.parametrize("verb", ["create", "exec", "kill", "update", "features", "events", "spec"])
def test_every_verb_has_help(verb: str) -> None:
    done = subprocess.run([RUNTIME, verb, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert f"usage: aethel-run {verb}" in done.stdout
