"""For a container without a network: `lo` alone."""

from __future__ import annotations

from aethel_net import netns, rtnetlink


def up(netns_fd: int) -> None:
    """Bring `lo` up in that namespace. Raises AethelError."""
    netns.inside(netns_fd, lambda: rtnetlink.send([rtnetlink.link_up(rtnetlink.LOOPBACK_INDEX)]))
