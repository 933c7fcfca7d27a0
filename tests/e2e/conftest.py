"""One daemon for the tests that leave it alone; one of their own for those that kill it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.daemon import Daemon


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    running = Daemon()
    assert running.aethel("image", "build", "demo-alpine").code == 0
    yield running
    running.close()


@pytest.fixture
def own_daemon() -> Iterator[Daemon]:
    running = Daemon()
    yield running
    running.close()
