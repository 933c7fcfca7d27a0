"""The daemon's facts: one SQLite file, one transaction for what belongs together.

Each store brings its own tables (a `SCHEMA` string of CREATE ... IF NOT EXISTS) and takes part in whatever transaction
is open in its thread. WAL with synchronous=NORMAL: a commit survives the death of any process; after a power cut the
last ones may be missing, never half there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aethel_common.errors import Corrupt


class Database:
    """A connection per thread to one file.

    database = Database(path, [ImageStore.SCHEMA])
    with database.transaction() as sql:
        sql.execute("INSERT ...")
    """

    def __init__(self, path: Path, schemas: Iterable[str]) -> None:
        """Open or make the file. Raises Corrupt when it is not a database."""
        self._path = path
        self._local = threading.local()
        try:
            for schema in schemas:
                self._connection().executescript(schema)
        except sqlite3.DatabaseError as error:
            raise Corrupt(f"{path}: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write as one step; nested use joins the outer one. Rolled back when an exception leaves it."""
        connection = self._connection()
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def read(self, query: str, parameters: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self._connection().execute(query, parameters).fetchall()

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
