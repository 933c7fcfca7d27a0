"""nftables: one table of ours per bridge, loaded in one transaction. man 8 nft, man 5 libnftables-json"""

from __future__ import annotations

from aethel_common.errors import Unsupported
from aethel_net.firewall import nft, rules
from aethel_net.model import Bridge


def apply(bridge: Bridge) -> None:
    """Put the bridge's table in place, whatever was there. Raises Unsupported when the kernel has no nftables NAT."""
    nft.run(rules.table(bridge))


def remove(bridge: Bridge) -> None:
    """Remove the bridge's table. Idempotent; nothing where the kernel has no nftables."""
    try:
        nft.run(rules.no_table(bridge))
    except Unsupported:
        pass
