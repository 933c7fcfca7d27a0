"""A runtime of one's own for each test, which must leave the host as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import host
from tests.harness.runtime import Runtime


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime()
    before = host.mounts_of(made.directory)
    yield made
    made.close()
    assert host.mounts_of(made.directory) == before
