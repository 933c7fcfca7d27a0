"""For a container without a network: `lo` alone."""

from __future__ import annotations

from pyroute2 import IPRoute

from aethel_net import netns


def up(netns_fd: int) -> None:
    """Bring `lo` up in that namespace."""

    def configure() -> None:
        with IPRoute() as ip:
            netns.up_loopback(ip)

    netns.inside(netns_fd, configure)
