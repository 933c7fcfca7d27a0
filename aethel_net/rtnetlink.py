"""The few requests that a container's own network namespace needs, all in one message. man 7 rtnetlink

A general client takes 2 to 3 ms for these four (a socket with an event loop, and a round trip each), as long as all the
rest of the network; this takes 0.2.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import AethelError
from aethel_common.linux import rtmessages as wire
from aethel_common.linux.trace import Fd, Record, Word, told

LOOPBACK_INDEX: Final = 1
"""`lo` is the first link of every namespace."""

_RTMSG: Final = struct.Struct("=BBBBBBBBI")
_RTA_GATEWAY: Final = 5
_RT_TABLE_MAIN: Final = 254
_RTPROT_STATIC: Final = 4
_RTN_UNICAST: Final = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One change; `what` names it in an error."""

    what: str
    kind: int
    flags: int
    body: bytes


def link_up(index: int) -> Request:
    """Bring a link up."""
    body = wire.IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, wire.IFF_UP, wire.IFF_UP)
    return Request(f"bring link {index} up", wire.RTM_NEWLINK, 0, body)


def add_address(index: int, address: ipaddress.IPv4Address, prefix_length: int) -> Request:
    """Give a link an address."""
    body = wire.IFADDRMSG.pack(socket.AF_INET, prefix_length, 0, wire.RT_SCOPE_UNIVERSE, index)
    # Both: they differ only on a point-to-point link, and the kernel fills in neither from the other.
    body += wire.attribute(wire.IFA_LOCAL, address.packed) + wire.attribute(wire.IFA_ADDRESS, address.packed)
    return Request(
        f"add address {address}/{prefix_length}", wire.RTM_NEWADDR, wire.NLM_F_CREATE | wire.NLM_F_EXCL, body
    )


def add_default_route(gateway: ipaddress.IPv4Address) -> Request:
    """Send what is for elsewhere to `gateway`, which must be reachable by then."""
    body = _RTMSG.pack(
        socket.AF_INET, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, wire.RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0
    ) + wire.attribute(_RTA_GATEWAY, gateway.packed)
    return Request(f"add default route by {gateway}", wire.RTM_NEWROUTE, wire.NLM_F_CREATE | wire.NLM_F_EXCL, body)


def send(requests: Sequence[Request], sink: Callable[[Record], None] | None = None) -> None:
    """Have them all carried out, in order, in the calling thread's namespace. Raises AethelError for the first to fail.

    `sink` is told of the message.
    """
    message = b"".join(
        wire.request(each.kind, each.flags | wire.NLM_F_ACK, number, each.body) for number, each in enumerate(requests)
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
        if sink is None:
            sock.send(message)
        else:
            shown = [Word(f"{wire.NAMES[request.kind]}: {request.what}") for request in requests]
            told("send", (Fd(sock.fileno()), shown), lambda: sock.send(message), sink)
        # The kernel works in `send`, goes on after a failure, and answers each with a datagram of its own.
        answers = [sock.recv(4096) for _ in requests]
    for request, answer in zip(requests, answers, strict=True):
        try:
            _answered(answer)
        except OSError as error:
            raise AethelError(f"rtnetlink: {request.what}: {error.strerror}") from error


def _answered(answer: bytes) -> None:
    """An acknowledgement. Raises OSError when it is a refusal."""
    ((kind, flags, _, payload),) = wire.messages(answer)
    assert kind == wire.NLMSG_ERROR, f"rtnetlink answered with a message of type {kind}"
    wire.raise_refusal(payload, flags)
