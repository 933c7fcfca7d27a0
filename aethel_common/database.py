"""The daemon's facts: one SQLite file, one transaction for what belongs together.

Each store brings its own tables (a `SCHEMA` string of CREATE ... IF NOT EXISTS) and takes part in whatever transaction
is open in its thread. WAL with synchronous=NORMAL: a commit survives the death of any process; after a power cut the
last ones may be missing, never half there.

On a full disk nothing may get stuck: an end must be recorded, a lease given back and a container removed, or no space
would ever come free. So the log is given its full length at the beginning. SQLite starts it again from the front after
each checkpoint, and never gives the space back while the file is in use.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aethel_common.errors import AethelError, Corrupt, Exhausted, NotPermitted, Unavailable

_CHECKPOINT_PAGES: Final = 1000
"""SQLite's default: so long the log becomes before it is started again. pragma wal_autocheckpoint"""
_PAGE: Final = 4096


class Database:
    """A connection per thread to one file.

    database = Database(path, [ImageStore.SCHEMA])
    with database.transaction() as sql:
        sql.execute("INSERT ...")
    """

    def __init__(self, path: Path, schemas: Iterable[str]) -> None:
        """Open or make the file. Raises Corrupt when it is not a database, Exhausted when the disk is full."""
        self._path = path
        self._local = threading.local()
        with _errors(path):
            for schema in schemas:
                self._connection().executescript(schema)
        self._reserve()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write as one step; nested use joins the outer one. Rolled back when an exception leaves it.

        Raises Exhausted when the disk is full, Unavailable when another process keeps the file locked.
        """
        with _errors(self._path):
            connection = self._connection()
            if connection.in_transaction:
                yield connection
            else:
                with _whole_or_nothing(connection):
                    yield connection

    def read(self, query: str, parameters: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with _errors(self._path):
            return self._connection().execute(query, parameters).fetchall()

    def _reserve(self) -> None:
        """Write the log to its full length once. A disk that is full already must not keep the daemon from starting."""
        log = self._path.with_name(f"{self._path.name}-wal")
        if log.exists() and log.stat().st_size >= _CHECKPOINT_PAGES * _PAGE:
            return
        try:
            with self.transaction() as sql:
                sql.execute("CREATE TABLE IF NOT EXISTS reserve (space BLOB)")
                # Half of it: each page is logged once with its content, and once more when the table goes.
                sql.execute("INSERT INTO reserve VALUES (zeroblob(?))", (_CHECKPOINT_PAGES * _PAGE // 2,))
            with self.transaction() as sql:
                sql.execute("DROP TABLE reserve")
            self.read("PRAGMA wal_checkpoint(RESTART)")
        except Exhausted:
            pass

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")
            self._local.connection = connection
        return connection


@contextmanager
def _whole_or_nothing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # when the disk is full, SQLite has rolled back itself
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """What SQLite says of the file and the disk becomes ours; what it says of a statement is for the store to judge."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        # Only the low byte: the rest tells which of SQLite's own calls it was.
        kind = _KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if kind is None:
            raise
        if kind is Exhausted or (kind is AethelError and _is_full(path)):
            raise Exhausted(f"{path}: no space left on device", hint="free some space and try again") from error
        raise kind(f"{path}: {error}") from error


_KINDS: Final[dict[int, type[AethelError]]] = {
    sqlite3.SQLITE_FULL: Exhausted,
    sqlite3.SQLITE_CORRUPT: Corrupt,
    sqlite3.SQLITE_NOTADB: Corrupt,
    sqlite3.SQLITE_BUSY: Unavailable,
    sqlite3.SQLITE_READONLY: NotPermitted,
    # A file beside the database could not be written or made; whether for want of space, SQLite does not say.
    sqlite3.SQLITE_IOERR: AethelError,
    sqlite3.SQLITE_CANTOPEN: AethelError,
}


def _is_full(path: Path) -> bool:
    status = os.statvfs(path.parent)
    return status.f_bavail == 0 or (status.f_files > 0 and status.f_favail == 0)
