"""A bridge becomes nft text. Pure."""

from __future__ import annotations

from aethel_net.model import Bridge


def name(bridge: Bridge) -> str:
    """The table's name."""
    return f"aethel_{bridge.name}"


def no_table(bridge: Bridge) -> str:
    """To delete what may not be there: add it first."""
    return f"add table ip {name(bridge)}\ndelete table ip {name(bridge)}\n"


def table(bridge: Bridge) -> str:
    """Masquerade what leaves the subnet by another link, and let it through."""
    return no_table(bridge) + "\n".join(
        (
            f"table ip {name(bridge)} {{",
            "  chain postrouting {",
            "    type nat hook postrouting priority srcnat; policy accept;",
            f'    ip saddr {bridge.subnet} oifname != "{bridge.name}" masquerade',
            "  }",
            "  chain forward {",
            "    type filter hook forward priority filter; policy accept;",
            f'    oifname "{bridge.name}" ct state established,related accept',
            f'    iifname "{bridge.name}" accept',
            "  }",
            "}",
            "",
        )
    )
