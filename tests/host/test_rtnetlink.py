"""What a container's network namespace is told, in a real one."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from aethel_common.errors import AethelError
from aethel_common.linux import namespaces
from aethel_common.linux.namespaces import CloneFlags
from aethel_net import loopback, netns, rtnetlink

ADDRESS = ipaddress.IPv4Address("192.0.2.1")
NEIGHBOUR = ipaddress.IPv4Address("192.0.2.2")


@pytest.fixture
def namespace() -> Iterator[int]:
    """A new network namespace."""
    made: list[int] = []

    def make() -> None:
        namespaces.unshare(CloneFlags.NEWNET)
        made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    maker = threading.Thread(target=make)
    maker.start()
    maker.join()
    yield made[0]
    os.close(made[0])


def source_address() -> str:
    """Which address a packet to somewhere far away would have. Raises OSError when there is no way to there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("198.51.100.1", 9))
        address: str = sock.getsockname()[0]
        return address


def test_a_link_an_address_and_a_route_in_one_message(namespace: int) -> None:
    requests = [
        rtnetlink.link_up(rtnetlink.LOOPBACK_INDEX),
        rtnetlink.add_address(rtnetlink.LOOPBACK_INDEX, ADDRESS, 24),
        rtnetlink.add_default_route(NEIGHBOUR),
    ]
    with pytest.raises(OSError, match="unreachable"):
        netns.inside(namespace, source_address)
    netns.inside(namespace, lambda: rtnetlink.send(requests))
    assert netns.inside(namespace, source_address) == str(ADDRESS)


def test_the_first_request_that_fails_is_named(namespace: int) -> None:
    again = rtnetlink.add_address(rtnetlink.LOOPBACK_INDEX, ADDRESS, 24)
    requests = [again, again, rtnetlink.link_up(4711)]
    with pytest.raises(AethelError, match=r"add address 192\.0\.2\.1/24: File exists"):
        netns.inside(namespace, lambda: rtnetlink.send(requests))


def test_a_loopback_that_is_up_can_be_talked_to(namespace: int) -> None:
    def talk() -> bytes:
        with socket.socket() as listener, socket.socket() as client:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            client.connect(listener.getsockname())
            client.send(b"x")
            with listener.accept()[0] as served:
                return served.recv(1)

    with pytest.raises(OSError, match=r"unreachable|Cannot assign"):
        netns.inside(namespace, talk)
    loopback.up(namespace)
    assert netns.inside(namespace, talk) == b"x"
