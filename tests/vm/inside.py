"""A pytest plugin for the kernels that share one list of tests: each takes the next that nobody has, and tells its result.

`--share DIRECTORY` is one that all of them, and the host, see; `--kernel NUMBER` says who this is. A claim is an empty
directory in `claims`, which only one can make; a result is a file in `results`, there in one piece.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest


@dataclass
class Result:
    """How one test ended: passed, skipped or failed; with the reason, or all that the failure said."""

    kind: str
    text: str
    kernel: str


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", type=Path)
    parser.addoption("--kernel", default="")


def pytest_configure(config: pytest.Config) -> None:
    share: Path | None = config.getoption("--share")
    if share is not None:
        config.pluginmanager.register(Sharing(share, config.getoption("--kernel")))


class Sharing:
    """The hooks of one kernel."""

    def __init__(self, share: Path, kernel: str) -> None:
        self._share = share
        self._kernel = kernel
        self._reports: list[pytest.TestReport] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Claim one ahead: pytest must know which test is next, to keep the fixtures that it shares with this one."""
        mine = self._claimed(session.items)
        item = next(mine, None)
        while item is not None:
            following = next(mine, None)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            item = following
        return True

    def _claimed(self, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        for item in items:
            try:
                os.mkdir(self._share / "claims" / file_name(item.nodeid))
            except FileExistsError:
                continue
            yield item

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(report)
        if report.when == "teardown":
            result = _result(self._reports, self._kernel)
            self._reports = []
            write(self._share, report.nodeid, result)


def _result(reports: list[pytest.TestReport], kernel: str) -> Result:
    """Of set-up, call and teardown together."""
    failed = [report for report in reports if report.failed]
    if failed:
        return Result("failed", "\n".join(f"{each.when}: {_told(each)}" for each in failed), kernel)
    for report in reports:
        if report.skipped:
            return Result("skipped", str(report.longrepr[2] if isinstance(report.longrepr, tuple) else ""), kernel)
    return Result("passed", "", kernel)


def _told(report: pytest.TestReport) -> str:
    return "\n".join([report.longreprtext, *(f"--- {title}\n{text}" for title, text in report.sections)])


def write(share: Path, test: str, result: Result) -> None:
    """In one piece, and at once: a kernel keeps what is written in its own cache until it is told to sync."""
    path = share / "results" / file_name(test)
    temporary = path.with_suffix(".new")
    with open(temporary, "w") as file:
        json.dump(asdict(result), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def read(share: Path, test: str) -> Result | None:
    """None as long as there is none."""
    try:
        return Result(**json.loads((share / "results" / file_name(test)).read_text()))
    except FileNotFoundError:
        return None


def file_name(test: str) -> str:
    """Of a claim and a result: a test's name may hold any character."""
    return hashlib.sha256(test.encode()).hexdigest()[:32]
