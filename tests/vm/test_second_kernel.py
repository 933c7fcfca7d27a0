"""Every end-to-end test, and what limits hold, once more on another kernel."""

from __future__ import annotations

import platform

import pytest

from tests.vm.conftest import SECONDS, SecondKernel


@pytest.mark.skipif(platform.machine() != "x86_64", reason="user-mode Linux is packaged for x86-64 alone")
@pytest.mark.timeout(SECONDS + 60)
def test_second_kernel(second_kernel: SecondKernel, inner: str) -> None:
    result = second_kernel.result_of(inner)
    if result.kind == "skipped":
        pytest.skip(result.text)
    if result.kind == "failed":
        pytest.fail(result.text, pytrace=False)
