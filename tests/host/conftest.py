"""A bundle for each test, and a host that is the same afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import host
from tests.harness.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    """Afterwards the host's mounts are what they were."""
    before = host.mounts_of(tmp_path)
    yield Bundle(tmp_path / "bundle")
    assert host.mounts_of(tmp_path) == before
