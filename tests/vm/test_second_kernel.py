"""The end-to-end list, once more, on another kernel."""

from __future__ import annotations

import pytest

from tests.vm.conftest import SECONDS, Run


@pytest.mark.vm
@pytest.mark.timeout(SECONDS + 300)
def test_e2e(second_kernel: Run, inner: str) -> None:
    result = second_kernel.results.get(inner)
    if result is None:
        pytest.fail(f"no result came back; the end of what was printed:\n{second_kernel.output}", pytrace=False)
    if result.kind == "skipped":
        pytest.skip(result.text)
    if result.kind != "passed":
        pytest.fail(result.text, pytrace=False)
