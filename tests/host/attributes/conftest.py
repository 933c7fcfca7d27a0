"""A root of busybox, and a script run in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.scripts import output_of, spec_of

Run = Callable[..., str]


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rootfs")
    root.chmod(0o755)
    for name in ("bin", "proc", "dev", "sys", "tmp"):
        (root / name).mkdir()
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "cat", "grep", "id", "ionice", "uname", "ip", "chrt", "nice", "touch", "stat", "true"):
        (root / "bin" / name).symlink_to("busybox")
    return root


@pytest.fixture
def run(rootfs: Path) -> Run:
    """Run a shell script in a container; its output. `process` and `linux` are what the document says beyond a plain one."""

    def runs(script: str, *, userns: bool = False, linux: dict[str, Any] | None = None, **process: Any) -> str:
        return output_of(spec_of(script, userns=userns, linux=linux or {}, process=process), rootfs)

    return runs
