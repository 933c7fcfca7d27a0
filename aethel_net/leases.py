"""LeaseStore: who has which address."""

from __future__ import annotations

import ipaddress
import itertools
from typing import Final

from aethel_common.database import Database
from aethel_common.errors import Exhausted
from aethel_net.model import Bridge, Endpoint


class LeaseStore:
    """Addresses by container; the database keeps two from having one."""

    SCHEMA: Final = """
        CREATE TABLE IF NOT EXISTS leases (
            container_id TEXT PRIMARY KEY,
            bridge TEXT NOT NULL,
            address INTEGER NOT NULL,
            prefix_length INTEGER NOT NULL,
            gateway INTEGER NOT NULL,
            UNIQUE (bridge, address)
        ) STRICT;
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: dict[str, int] = {}
        """An address just given back is not given out at once: peers remember whose it was."""

    def allocate(self, bridge: Bridge, container_id: str) -> Endpoint:
        """An address for that container; the same again if it has one. Raises Exhausted."""
        existing = self.find(container_id)
        if existing is not None:
            return existing
        with self._database.transaction() as sql:
            rows = sql.execute("SELECT address FROM leases WHERE bridge = ?", (bridge.name,))
            address = self._free(bridge, {row["address"] for row in rows})
            values = (container_id, bridge.name, address, bridge.subnet.prefixlen, int(bridge.gateway))
            sql.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?)", values)
        self._last[bridge.name] = address
        return _endpoint(*values)

    def find(self, container_id: str) -> Endpoint | None:
        """The container's place, if it has one."""
        rows = self._database.read("SELECT * FROM leases WHERE container_id = ?", (container_id,))
        return _endpoint(*rows[0]) if rows else None

    def all(self) -> list[Endpoint]:
        """Every lease."""
        return [_endpoint(*row) for row in self._database.read("SELECT * FROM leases")]

    def release(self, container_id: str) -> None:
        """Give the address back; nothing when there is none."""
        with self._database.transaction() as sql:
            sql.execute("DELETE FROM leases WHERE container_id = ?", (container_id,))

    def _free(self, bridge: Bridge, used: set[int]) -> int:
        first, last = int(bridge.subnet[2]), int(bridge.subnet[-2])
        start: int = max(first, self._last.get(bridge.name, first - 1) + 1)
        for candidate in itertools.chain(range(start, last + 1), range(first, min(start, last + 1))):
            if candidate not in used:
                return candidate
        raise Exhausted(f"no address is left in {bridge.subnet} of {bridge.name}")


def _endpoint(container_id: str, bridge: str, address: int, prefix_length: int, gateway: int) -> Endpoint:
    return Endpoint(
        container_id=container_id,
        bridge=bridge,
        ip_address=ipaddress.IPv4Address(address),
        prefix_length=prefix_length,
        gateway=ipaddress.IPv4Address(gateway),
    )
