"""Network: the bridge, and a veth pair for each container. man 4 veth"""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from aethel_common.errors import AethelError, Unsupported
from aethel_common.linux.trace import Record, Word, told
from aethel_net import firewall, netns, rtnetlink
from aethel_net.model import Bridge, Endpoint

Sink = Callable[[Record], None] | None

log = logging.getLogger(__name__)


class Network:
    """One bridge of the host; holds a netlink socket, and may be used from any thread."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.masquerade_problem = ""
        """Why containers cannot reach beyond the host; empty when they can."""
        self._lock = threading.Lock()
        self._ip = IPRoute()
        self._index = 0

    def up(self) -> None:
        """Make the bridge and its rules, or put right what is there. Idempotent. Raises AethelError."""
        name = self.bridge.name
        with self._lock, _named(f"bridge {name}"):
            if not self._ip.link_lookup(ifname=name):
                self._ip.link("add", ifname=name, kind="bridge")
            self._index = self._ip.link_lookup(ifname=name)[0]
            gateway = str(self.bridge.gateway)
            self._ip.addr("replace", index=self._index, address=gateway, prefixlen=self.bridge.subnet.prefixlen)
            # A container must not be able to reconfigure the host by router advertisements (CVE-2020-13401).
            _write(f"/proc/sys/net/ipv6/conf/{name}/accept_ra", "0")
            self._ip.link("set", index=self._index, state="up")
            _write("/proc/sys/net/ipv4/ip_forward", "1")
        self._masquerade()

    def attach(self, endpoint: Endpoint, netns_fd: int, sink: Sink = None) -> None:
        """Give that namespace an `eth0` on the bridge; all of it or nothing. Raises AethelError.

        `sink` is told of each message to the kernel.
        """
        with _named(f"network of container {endpoint.container_id[:12]}"):
            self._make_pair(endpoint, netns_fd, sink)
            try:
                netns.inside(netns_fd, lambda: _configure(endpoint, sink))
            except BaseException:
                self.detach(endpoint)
                raise

    def detach(self, endpoint: Endpoint) -> None:
        """Remove the pair if the end of its namespace has not done so already. Idempotent."""
        with self._lock:
            try:
                self._ip.link("del", ifname=endpoint.host_link)
            except NetlinkError as error:
                if error.code not in (errno.ENODEV, errno.ENOENT):
                    raise

    def down(self) -> None:
        """Remove the bridge and its rules. Idempotent."""
        firewall.remove(self.bridge)
        with self._lock:
            for index in self._ip.link_lookup(ifname=self.bridge.name):
                self._ip.link("del", index=index)

    def close(self) -> None:
        """Let the socket go; the bridge stays."""
        self._ip.close()

    def _make_pair(self, endpoint: Endpoint, netns_fd: int, sink: Sink) -> None:
        peer = {"ifname": "eth0", "net_ns_fd": netns_fd, "address": endpoint.mac_address}
        link = {"ifname": endpoint.host_link, "kind": "veth", "peer": peer, "master": self._index, "state": "up"}
        with self._lock:
            if sink is None:
                self._ip.link("add", **link)
            else:
                shown = [Word(f"{key}={value}") for key, value in link.items()]
                told("RTM_NEWLINK", shown, lambda: self._ip.link("add", **link), sink)

    def _masquerade(self) -> None:
        try:
            firewall.apply(self.bridge)
        except Unsupported as error:
            self.masquerade_problem = error.message
            log.warning("masquerade is missing, containers reach this host only: %s", error.message)


def _configure(endpoint: Endpoint, sink: Sink) -> None:
    index = socket.if_nametoindex("eth0")
    rtnetlink.send(
        [
            rtnetlink.link_up(rtnetlink.LOOPBACK_INDEX),
            rtnetlink.add_address(index, endpoint.ip_address, endpoint.prefix_length),
            rtnetlink.link_up(index),
            rtnetlink.add_default_route(endpoint.gateway),
        ],
        sink,
    )


@contextmanager
def _named(what: str) -> Iterator[None]:
    """A failure of netlink names what was being done."""
    try:
        yield
    except NetlinkError as error:
        raise AethelError(f"{what}: {error}") from error


def _write(path: str, value: str) -> None:
    file = Path(path)
    if file.exists() and file.read_text().strip() != value:
        file.write_text(value)
