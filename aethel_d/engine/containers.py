"""ContainerStore: what is known of each container; facts only, each change one transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from aethel_common import names
from aethel_common.database import Database
from aethel_common.errors import AlreadyExists, Exhausted, NotFound
from aethel_d.engine.model import Container, Exit, Run

ID_RANGE_SIZE: Final = 65536
"""Host ids of one container's user namespace."""
ID_RANGE_END: Final = 1879048192
"""End of what systemd's UIDS-GIDS document sets aside for containers."""


class ContainerStore:
    """Containers by id; names and id ranges are unique."""

    SCHEMA: Final = """
        CREATE TABLE IF NOT EXISTS containers (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            id_base INTEGER UNIQUE,
            created_ns INTEGER NOT NULL,
            document BLOB NOT NULL
        ) STRICT;
    """

    def __init__(self, database: Database, *, id_range_start: int) -> None:
        self._database = database
        self._id_range_start = id_range_start
        self._decode = msgspec.json.Decoder(Container).decode

    def add(self, container: Container, *, private_users: bool) -> Container:
        """Store a new container, with an id range if it has users of its own. Raises AlreadyExists, Exhausted."""
        with self._database.transaction() as sql:
            base = self._free_range(sql) if private_users else None
            container = msgspec.structs.replace(container, id_base=base)
            try:
                sql.execute(
                    "INSERT INTO containers VALUES (?, ?, ?, ?, ?)",
                    (container.id, container.name, base, container.created_ns, msgspec.json.encode(container)),
                )
            except sqlite3.IntegrityError:
                holder = sql.execute("SELECT id FROM containers WHERE name = ?", (container.name,)).fetchone()
                raise AlreadyExists(
                    f"the name {container.name!r} is taken by container {names.short(holder['id'])}",
                    hint="remove or rename that one, or choose another name",
                ) from None
        return container

    def find(self, wanted: str) -> str:
        """The id that an id, a name or an id's beginning means. Raises NotFound, InvalidArgument."""
        rows = self._database.read("SELECT id, name FROM containers")
        return names.find(wanted, ((row["id"], row["name"]) for row in rows))

    def get(self, container_id: str) -> Container:
        """By full id. Raises NotFound."""
        rows = self._database.read("SELECT document FROM containers WHERE id = ?", (container_id,))
        if not rows:
            raise NotFound(f"no such container: {names.short(container_id)}", hint="`aethel ps -a` lists them")
        return self._decode(rows[0]["document"])

    def all(self) -> list[Container]:
        """Every one, the newest first."""
        rows = self._database.read("SELECT document FROM containers ORDER BY created_ns DESC")
        return [self._decode(row["document"]) for row in rows]

    def started(self, container_id: str, run: Run) -> Container:
        """It was started: the facts of an earlier end are gone."""
        return self._change(container_id, run=run, exit=None)

    def exited(self, container_id: str, end: Exit) -> Container:
        """It has ended."""
        return self._change(container_id, exit=end)

    def remove(self, container_id: str) -> None:
        """Forget it; nothing when it is not known."""
        with self._database.transaction() as sql:
            sql.execute("DELETE FROM containers WHERE id = ?", (container_id,))

    def _change(self, container_id: str, **facts: Run | Exit | None) -> Container:
        with self._database.transaction() as sql:
            container = msgspec.structs.replace(self.get(container_id), **facts)
            sql.execute(
                "UPDATE containers SET document = ? WHERE id = ?", (msgspec.json.encode(container), container_id)
            )
        return container

    def _free_range(self, sql: sqlite3.Connection) -> int:
        used = {row["id_base"] for row in sql.execute("SELECT id_base FROM containers WHERE id_base IS NOT NULL")}
        base = max(used, default=self._id_range_start - ID_RANGE_SIZE) + ID_RANGE_SIZE
        if base + ID_RANGE_SIZE <= ID_RANGE_END:
            return base
        for base in range(self._id_range_start, ID_RANGE_END - ID_RANGE_SIZE + 1, ID_RANGE_SIZE):
            if base not in used:
                return base
        raise Exhausted("no range of host ids is left for another container")
