"""Marks tests by their folder; where root is needed and missing, says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = item.path.relative_to(HERE).parts[0]
        if room in ("host", "e2e", "vm"):
            item.add_marker(room)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))
