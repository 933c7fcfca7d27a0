"""Half a write is no write: databases, documents and logs on a disk that takes no more."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from aethel_common import jsonfile
from aethel_common.database import Database
from aethel_common.errors import Corrupt, Exhausted
from aethel_d.engine import logs
from aethel_d.monitor.logfile import LogFile
from aethel_d.monitor.protocol import ExitState


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """As on a disk that fills up: a write takes what fits, the next one fails. man 2 setrlimit (Python ignores SIGXFSZ)"""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "db", ["CREATE TABLE IF NOT EXISTS t (x BLOB) STRICT;"])
    yield made
    made._connection().close()


def insert(database: Database) -> None:
    with database.transaction() as sql:
        sql.execute("INSERT INTO t VALUES (zeroblob(3000))")


def fill(database: Database) -> int:
    """Insert until there is no room, and say how often it went well."""
    for count in range(10000):
        try:
            insert(database)
        except Exhausted:
            return count
    raise AssertionError("it never was full")


def test_a_full_database_says_so_and_goes_on(database: Database) -> None:
    database._connection().execute("PRAGMA max_page_count = 600")
    count = fill(database)
    assert count > 0
    with pytest.raises(Exhausted, match="no space left on device"):
        insert(database)
    assert len(database.read("SELECT x FROM t")) == count
    with database.transaction() as sql:
        sql.execute("DELETE FROM t")
    insert(database)


def test_a_full_disk_does_not_keep_anything_from_being_given_back(database: Database, tmp_path: Path) -> None:
    """The log has its full length from the beginning, so that what follows needs no more of the disk."""
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["db-wal"] >= 1000 * 4096
    with no_file_longer_than(sizes["db-wal"] + 8192):
        for _ in range(1500):  # more than the log holds
            insert(database)
            with database.transaction() as sql:
                sql.execute("DELETE FROM t")
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == pytest.approx(sizes, abs=3 * 4120)


def test_a_database_that_was_left_open_is_not_given_more_log(tmp_path: Path) -> None:
    first = Database(tmp_path / "db", [])
    second = Database(tmp_path / "db", [])
    assert (tmp_path / "db-wal").stat().st_size < 1100 * 4120
    for each in (first, second):
        each._connection().close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(Corrupt, match="db"):
        Database(tmp_path / "db", ["CREATE TABLE IF NOT EXISTS t (x BLOB) STRICT;"])


def test_what_a_store_judges_itself_comes_through(database: Database) -> None:
    with database.transaction() as sql:
        sql.execute("CREATE TABLE u (x INTEGER PRIMARY KEY) STRICT")
        sql.execute("INSERT INTO u VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as sql:
        sql.execute("INSERT INTO u VALUES (1)")


def test_a_document_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    state = ExitState(code=3, signal=0, finished_ns=1, oom_killed=False)
    jsonfile.replace(path, state)
    with no_file_longer_than(10), pytest.raises(OSError):
        jsonfile.replace(path, ExitState(code=4, signal=0, finished_ns=2, oom_killed=False))
    assert jsonfile.read(path, ExitState) == state
    assert os.listdir(tmp_path) == ["exit.json"]


def test_a_reserved_document_is_as_long_as_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    state = ExitState(code=3, signal=0, finished_ns=1, oom_killed=False)
    jsonfile.reserve(path)
    assert not path.exists()
    (reserved,) = tmp_path.iterdir()
    assert reserved.stat().st_blocks * 512 >= 4096
    jsonfile.replace(path, state)
    assert jsonfile.read(path, ExitState) == state
    assert os.listdir(tmp_path) == ["exit.json"]


@pytest.mark.parametrize("limit", range(150, 400, 7))
def test_a_log_holds_whole_records_only(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "container.log"
    log = LogFile(str(path))
    with closing(log):
        log.write(False, b"before\n")
        with no_file_longer_than(limit):
            log.write(True, b"one\ntwo\nthree\nfour\nfive\nsix\nseven\nand no end")
        log.write(False, b"after\n")
    records = [logs.parse(record) for record in path.read_bytes().split(b"\n")[:-1]]
    assert records[0].data == b"before\n"
    assert records[-1].data == b"after\n"
    kept = b"".join(record.data for record in records[1:-1])
    assert b"one\ntwo\nthree\nfour\nfive\nsix\nseven\nand no end".startswith(kept)
    assert (log.lost_bytes > 0) == (not kept.endswith(b"end"))
