"""The few requests that a container's own network namespace needs, all in one message. man 7 rtnetlink

A general client takes 2 to 3 ms for these four (a socket with an event loop, and a round trip each), as long as all the
rest of the network; this takes 0.2.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import AethelError
from aethel_common.linux.trace import Fd, Record, Word, told

LOOPBACK_INDEX: Final = 1
"""`lo` is the first link of every namespace."""

# linux/netlink.h
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR: Final = struct.Struct("=i")
_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK: Final = 0x4
_NLM_F_EXCL: Final = 0x200
_NLM_F_CREATE: Final = 0x400
_NLMSG_ERROR: Final = 2
# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
_RTM_NEWLINK: Final = 16
_RTM_NEWADDR: Final = 20
_RTM_NEWROUTE: Final = 24
_NAMES: Final = {_RTM_NEWLINK: "RTM_NEWLINK", _RTM_NEWADDR: "RTM_NEWADDR", _RTM_NEWROUTE: "RTM_NEWROUTE"}
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_IFADDRMSG: Final = struct.Struct("=BBBBI")
_RTMSG: Final = struct.Struct("=BBBBBBBBI")
_IFF_UP: Final = 1
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_RTA_GATEWAY: Final = 5
_RT_TABLE_MAIN: Final = 254
_RTPROT_STATIC: Final = 4
_RT_SCOPE_UNIVERSE: Final = 0
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
    body = _IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP)
    return Request(f"bring link {index} up", _RTM_NEWLINK, 0, body)


def add_address(index: int, address: ipaddress.IPv4Address, prefix_length: int) -> Request:
    """Give a link an address."""
    body = _IFADDRMSG.pack(socket.AF_INET, prefix_length, 0, _RT_SCOPE_UNIVERSE, index)
    # Both: they differ only on a point-to-point link, and the kernel fills in neither from the other.
    body += _attribute(_IFA_LOCAL, address.packed) + _attribute(_IFA_ADDRESS, address.packed)
    return Request(f"add address {address}/{prefix_length}", _RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_EXCL, body)


def add_default_route(gateway: ipaddress.IPv4Address) -> Request:
    """Send what is for elsewhere to `gateway`, which must be reachable by then."""
    body = _RTMSG.pack(
        socket.AF_INET, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0
    ) + _attribute(_RTA_GATEWAY, gateway.packed)
    return Request(f"add default route by {gateway}", _RTM_NEWROUTE, _NLM_F_CREATE | _NLM_F_EXCL, body)


def send(requests: Sequence[Request], sink: Callable[[Record], None] | None = None) -> None:
    """Have them all carried out, in order, in the calling thread's namespace. Raises AethelError for the first to fail.

    `sink` is told of the message.
    """
    message = b"".join(_encode(request, number) for number, request in enumerate(requests))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
        if sink is None:
            sock.send(message)
        else:
            shown = [Word(f"{_NAMES[request.kind]}: {request.what}") for request in requests]
            told("send", (Fd(sock.fileno()), shown), lambda: sock.send(message), sink)
        # The kernel works in `send`, goes on after a failure, and answers each with a datagram of its own.
        answers = [sock.recv(4096) for _ in requests]
    for request, answer in zip(requests, answers, strict=True):
        number = _error(answer)
        if number:
            raise AethelError(f"rtnetlink: {request.what}: {os.strerror(number)}")


def _encode(request: Request, number: int) -> bytes:
    flags = _NLM_F_REQUEST | _NLM_F_ACK | request.flags
    # Every body is a whole number of four-byte words, so no padding comes between two messages.
    return _HEADER.pack(_HEADER.size + len(request.body), request.kind, flags, number, 0) + request.body


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


def _error(answer: bytes) -> int:
    """The errno of an acknowledgement; 0: done."""
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    assert kind == _NLMSG_ERROR, f"rtnetlink answered with a message of type {kind}"
    return -int(_ERROR.unpack_from(answer, _HEADER.size)[0])
