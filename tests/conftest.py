"""Marks tests by their folder; where root is needed and missing, says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.harness.cgroups import lacking

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = item.path.relative_to(HERE).parts[0]
        if room in ("host", "oci", "e2e", "vm"):
            item.add_marker("host" if room == "oci" else room)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("cgroup") and lacking():
            item.add_marker(pytest.mark.skip(reason=f"the cgroup2 tree here lacks {lacking()}"))
