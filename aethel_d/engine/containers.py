"""ContainerStore: what is known of each container; facts only, each change one transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from aethel_common import names
from aethel_common.database import Database
from aethel_common.errors import AlreadyExists, NotFound
from aethel_d.engine import idmap
from aethel_d.engine.asked import UsersMode
from aethel_d.engine.model import Container, Exit, Run

ID_RANGE_END: Final = 1879048192
"""End of what systemd's UIDS-GIDS document sets aside for containers."""


class ContainerStore:
    """Containers by id. Names are unique; id ranges never overlap, but for those who share a user namespace.

    A range is kept as long as one container has files of its ids, whoever had it first.
    """

    SCHEMA: Final = """
        CREATE TABLE IF NOT EXISTS containers (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            id_base INTEGER UNIQUE,
            created_ns INTEGER NOT NULL,
            document BLOB NOT NULL
        ) STRICT;
        CREATE TABLE IF NOT EXISTS id_ranges (
            container_id TEXT PRIMARY KEY REFERENCES containers (id) ON DELETE CASCADE,
            base INTEGER NOT NULL,
            size INTEGER NOT NULL
        ) STRICT;
        INSERT OR IGNORE INTO id_ranges SELECT id, id_base, 65536 FROM containers WHERE id_base NOT NULL;
    """

    def __init__(self, database: Database, *, id_range_start: int) -> None:
        self._database = database
        self._id_range_start = id_range_start
        self._decode = msgspec.json.Decoder(Container).decode

    def add(self, container: Container) -> Container:
        """Store a new container, with the ids that its user namespace asks for.

        Raises AlreadyExists, Exhausted, NotFound (whose ids it shares).
        """
        with self._database.transaction() as sql:
            container = self.with_ids(container)
            shared = container.config.namespaces.users.mode is UsersMode.CONTAINER
            row = (container.id, container.name, None if shared else container.id_base, container.created_ns)
            try:
                sql.execute("INSERT INTO containers VALUES (?, ?, ?, ?, ?)", (*row, msgspec.json.encode(container)))
            except sqlite3.IntegrityError:
                holder = sql.execute("SELECT id FROM containers WHERE name = ?", (container.name,)).fetchone()
                raise AlreadyExists(
                    f"the name {container.name!r} is taken by container {names.short(holder['id'])}",
                    hint="remove or rename that one, or choose another name",
                ) from None
            if container.id_base is not None:
                range_row = (container.id, container.id_base, container.id_size)
                sql.execute("INSERT INTO id_ranges VALUES (?, ?, ?)", range_row)
        return container

    def with_ids(self, container: Container) -> Container:
        """With the ids that its user namespace asks for, as they are free now; only `add` keeps them.

        Raises Exhausted, NotFound (whose ids it shares).
        """
        users = container.config.namespaces.users
        if users.mode is UsersMode.HOST:
            return container
        if users.mode is UsersMode.CONTAINER:
            donor = self.get(users.container)
            return msgspec.structs.replace(
                container,
                id_base=donor.id_base,
                id_size=donor.id_size,
                uid_map=donor.uid_map,
                gid_map=donor.gid_map,
            )
        used = [(row["base"], row["size"]) for row in self._database.read("SELECT base, size FROM id_ranges")]
        base = idmap.free_base(used, users.size, start=self._id_range_start, end=ID_RANGE_END)
        return msgspec.structs.replace(
            container,
            id_base=base,
            id_size=users.size,
            uid_map=idmap.whole_map(base, users.size, users.uid_map),
            gid_map=idmap.whole_map(base, users.size, users.gid_map),
        )

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
