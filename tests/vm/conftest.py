"""Boots one second kernel for each CPU, which share the tests that were selected, and hands their results out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aethel_storage import recipes
from tests.harness.daemon import CACHE
from tests.vm import inside
from tests.vm.kernel import Kernel, on_this_host

ROOT = Path(__file__).parents[2]
LISTS = (
    "tests/e2e",
    # Of the host's own list what needs a cgroup2 tree with every controller, which few hosts leave free.
    "tests/host/test_limits_hold.py",
)
"""What runs there: paths, as pytest takes them."""
SECONDS = 1500
"""For all of them together; then the kernels are ended."""
_KERNELS = 4
"""At most: each may take a gibibyte of memory."""
_WORK = """\
# A test takes several times as long as on the host, and so may its time limit.
exec python -m pytest -p no:cacheprovider -p tests.vm.inside --share "$share" --kernel "$kernel" --timeout 600 "@$share/tests"
"""
_PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]


class SecondKernel:
    """Some kernels with one list of tests."""

    def __init__(self, share: Path, tests: list[str]) -> None:
        self._share = share
        self._kernels: list[Kernel] = []
        self._told = False
        self._deadline = time.monotonic() + SECONDS
        for directory in ("claims", "results"):
            (share / directory).mkdir()
        (share / "tests").write_text("\n".join(tests))
        (share / "work").write_text(_WORK)

    def boot(self) -> None:
        for number, cpu in enumerate(sorted(os.sched_getaffinity(0))[:_KERNELS]):
            arguments = on_this_host(ROOT, self._share, number)
            self._kernels.append(Kernel(arguments, cpu=cpu, console=self._share / f"console-{number}"))

    def result_of(self, test: str) -> inside.Result:
        """Wait for it."""
        while (result := inside.read(self._share, test)) is None:
            if not any(kernel.running for kernel in self._kernels) or time.monotonic() > self._deadline:
                self.close()
                return inside.read(self._share, test) or self._no_result()
            time.sleep(0.05)
        if result.kind == "failed":
            result.text += f"\n{self._seen(result.kernel)}"
        return result

    def _no_result(self) -> inside.Result:
        """The first one tells why, as far as can be seen."""
        seen = "".join(self._seen(str(number)) for number in range(len(self._kernels)))
        text = "no result came back" + ("; see the first" if self._told else f"\n{seen}")
        self._told = True
        return inside.Result("failed", text, "")

    def _seen(self, kernel: str) -> str:
        """The end of what a kernel and its tests printed."""
        texts = [(name, _tail(self._share / f"{name}-{kernel}")) for name in ("console", "output")]
        return "".join(f"--- {name} of kernel {kernel}\n{text}\n" for name, text in texts)

    def close(self) -> None:
        for kernel in self._kernels:
            kernel.close()


def _tail(path: Path, size: int = 3000) -> str:
    return path.read_text(errors="replace")[-size:] if path.exists() else ""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "inner" in metafunc.fixturenames:
        metafunc.parametrize("inner", _collect())


def _collect() -> list[str]:
    done = subprocess.run(
        [*_PYTEST, *LISTS, "--collect-only", "-q", "--no-header"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.fixture(scope="session")
def second_kernel(request: pytest.FixtureRequest) -> Iterator[SecondKernel]:
    """Runs those tests that are selected here."""
    tests = [
        item.callspec.params["inner"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "second_kernel" in item.fixturenames
    ]
    recipes.build("demo-alpine", CACHE, lambda stage, done, total: None)  # needs a network, which the kernels have not
    share = Path(tempfile.mkdtemp(prefix="aevm-", dir=_directory()))
    kernels = SecondKernel(share, tests)
    try:
        kernels.boot()
        yield kernels
    finally:
        kernels.close()
        shutil.rmtree(share)


def _directory() -> Path:
    """For the disks, some hundred megabytes: in memory if there is room."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free >= 8 * 1024**3:
        return memory
    CACHE.mkdir(parents=True, exist_ok=True)
    return CACHE
