"""Boots user-mode Linux once, runs tests/e2e inside, and reports each of its tests as one of ours.

That kernel is older (6.1), has a pure cgroup v2 tree and no nftables: the other half of the hosts there are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 1200


@dataclass(frozen=True)
class Result:
    """How one test inside ended."""

    kind: str
    text: str


@dataclass(frozen=True)
class Run:
    """All that came back."""

    results: dict[str, Result]
    output: str


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "inner" in metafunc.fixturenames:
        metafunc.parametrize("inner", _collect())


def _collect() -> list[str]:
    command = [
        str(ROOT / ".venv/bin/python"),
        "-m",
        "pytest",
        "tests/e2e",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith("tests/e2e/")]


@pytest.fixture(scope="session")
def second_kernel() -> Iterator[Run]:
    """Boot, run, power off."""
    directory = Path(tempfile.mkdtemp(prefix="vm-", dir=_cache()))
    try:
        _modules()
        disk = directory / "disk"
        with open(disk, "wb") as file:
            file.truncate(2 * 1024**3)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True)
        _boot(directory, disk)
        yield Run(_results(directory / "junit.xml"), _text(directory / "output") or _text(directory / "console"))
    finally:
        shutil.rmtree(directory)


def _cache() -> Path:
    path = ROOT / ".cache"
    path.mkdir(exist_ok=True)
    return path


def _modules() -> None:
    """Where the kernel's package has its modules, they are not looked for."""
    for source in Path("/usr/lib/uml/modules").iterdir():
        target = Path("/lib/modules") / source.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
            subprocess.run(["depmod", source.name], check=False)


def _boot(directory: Path, disk: Path) -> None:
    command = [
        "linux.uml",
        f"ubda={disk}",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        "mem=2G",
        f"init={ROOT}/tests/vm/init.sh",
        f"checkout={ROOT}",
        f"results={directory}",
        f"timeout={SECONDS}",
        "con=null",
        "con0=fd:0,fd:1",
        "quiet",
    ]
    with open(directory / "console", "wb") as console:
        kernel = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env={**os.environ, "TMPDIR": str(directory)},
        )
        try:
            kernel.wait(SECONDS + 120)
        finally:
            kernel.kill()
            kernel.wait()


def _results(path: Path) -> dict[str, Result]:
    if not path.exists():
        return {}
    found: dict[str, Result] = {}
    for case in ET.parse(path).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        child = next((each for each in case if each.tag in ("failure", "error", "skipped")), None)
        kind = child.tag if child is not None else "passed"
        found[name] = Result(kind, (child.text or child.get("message") or "") if child is not None else "")
    return found


def _text(path: Path) -> str:
    return path.read_text(errors="replace")[-3000:] if path.exists() else ""
