"""Every example of the README and of `aethel run --help` works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.daemon import BIN, Daemon
from tests.harness.host import patience

ROOT = Path(__file__).parents[2]


def sh(daemon: Daemon, line: str) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}:{os.environ['PATH']}"
    return subprocess.run(
        # A shell as process 1 does not heed SIGTERM, so `stop` takes its ten seconds.
        ["timeout", str(patience(3 if " -f " in line else 30)), "bash", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**daemon.environment, "PATH": path},
        check=False,
    )


def test_the_readme_s_commands(own_daemon: Daemon) -> None:
    lines = re.findall(r"^    (aethel .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        code = sh(own_daemon, line).returncode
        # Following a log goes on until something ends it.
        assert code == (124 if " -f " in line else 0), line


def test_the_readme_shows_what_info_says(daemon: Daemon) -> None:
    text = (ROOT / "README.md").read_text()
    (shown,) = re.findall(r"^    Version: .*(?:\n    .*)+", text, re.MULTILINE)
    keys = re.findall(r"^ *([\w-]+):", daemon.aethel("info").out, re.MULTILINE)
    assert re.findall(r"^ *([\w-]+):", shown, re.MULTILINE) == keys


def test_the_examples_of_run_s_help(own_daemon: Daemon) -> None:
    text = own_daemon.aethel("run", "--help").out
    lines = re.findall(r"^ +((?:echo \w+ \| )?aethel run .*)$", text, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        assert sh(own_daemon, line).returncode == 0, line


@pytest.mark.parametrize(
    "command", ["attach", "create", "image", "images", "info", "inspect", "kill", "logs", "ps", "rm"]
)
def test_every_command_has_help(daemon: Daemon, command: str) -> None:
    done = daemon.aethel(command, "--help")
    assert done.code == 0
    assert f"Usage: aethel {command}" in done.out
