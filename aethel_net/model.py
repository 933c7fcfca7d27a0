"""A bridge, and a container's place on it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge of the host and the addresses behind it; the first host address is the gateway."""

    name: str
    subnet: ipaddress.IPv4Network

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """The bridge's own address."""
        return self.subnet[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A container on a bridge: `eth0` inside, `host_link` outside."""

    container_id: str
    bridge: str
    ip_address: ipaddress.IPv4Address
    prefix_length: int
    gateway: ipaddress.IPv4Address

    @property
    def mac_address(self) -> str:
        """Locally administered, and made from the address: the same container keeps it."""
        return "02:42:" + ":".join(f"{byte:02x}" for byte in self.ip_address.packed)

    @property
    def host_link(self) -> str:
        """15 characters at most, IFNAMSIZ."""
        return f"veth{self.container_id[:8]}"
