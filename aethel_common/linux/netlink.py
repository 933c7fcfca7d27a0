"""Links and addresses, in the few requests that a runtime has. man 7 rtnetlink

Requests are small and sent one at a time.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from aethel_common.linux import rtmessages as wire
from aethel_common.linux.trace import told, trace

_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11

_IFLA_IFNAME: Final = 3
_IFLA_NET_NS_FD: Final = 28
_IFNAMSIZ: Final = 16

_IFA_BROADCAST: Final = 4
_IFA_FLAGS: Final = 8
_IFA_RT_PRIORITY: Final = 9
_IFA_KEPT: Final[tuple[int, ...]] = (wire.IFA_ADDRESS, wire.IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS, _IFA_RT_PRIORITY)
"""The label begins with the old name of the link, and the times are those of every permanent address."""
_IFA_F_PERMANENT: Final = 0x80

_BUFFER: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface."""

    index: int
    name: str
    up: bool


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a link, with what RTM_NEWADDR needs to make it again."""

    family: int
    prefix_length: int
    flags: int
    scope: int
    attributes: Mapping[int, bytes]

    @property
    def is_global_and_permanent(self) -> bool:
        """Set by somebody, for talking to others: not link-local, not from a router or a lease."""
        return self.scope == wire.RT_SCOPE_UNIVERSE and bool(self.flags & _IFA_F_PERMANENT)

    def __str__(self) -> str:
        raw = self.attributes.get(wire.IFA_LOCAL, self.attributes.get(wire.IFA_ADDRESS, b""))
        return f"{socket.inet_ntop(self.family, raw)}/{self.prefix_length}"


class Rtnetlink:
    """A socket in the network namespace that the caller is in when it is made; it stays there."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._socket.close()

    def link(self, name: str) -> Link:
        """Raises OSError: ENODEV when there is none of that name."""
        body = wire.IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _name(name)
        for kind, payload in self._request(wire.RTM_GETLINK, wire.NLM_F_ACK, body, name):
            if kind == wire.RTM_NEWLINK:
                return _link(payload)
        raise OSError(errno.ENODEV, f"rtnetlink(7) RTM_GETLINK: {os.strerror(errno.ENODEV)}", name)

    def links(self) -> list[Link]:
        """All of them."""
        body = wire.IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        answers = self._request(wire.RTM_GETLINK, wire.NLM_F_DUMP, body, "")
        return [_link(payload) for kind, payload in answers if kind == wire.RTM_NEWLINK]

    def addresses(self, link: Link) -> list[Address]:
        """Those of one link, of every family."""
        body = wire.IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        found: list[Address] = []
        for kind, payload in self._request(wire.RTM_GETADDR, wire.NLM_F_DUMP, body, link.name):
            if kind != wire.RTM_NEWADDR:
                continue
            *_, index = wire.IFADDRMSG.unpack_from(wire.checked(payload, wire.IFADDRMSG.size))
            if index == link.index:
                found.append(_address(payload))
        return found

    def move(self, link: Link, netns_fd: int, name: str) -> None:
        """Put it into another namespace, down and without addresses, under a new name; not into one where it is taken.

        When only the new name is refused, the link has moved all the same, under its old one.
        """
        body = wire.IFINFOMSG.pack(socket.AF_UNSPEC, 0, link.index, 0, 0)
        body += wire.attribute(_IFLA_NET_NS_FD, struct.pack("=I", netns_fd)) + _name(name)
        self._request(wire.RTM_NEWLINK, wire.NLM_F_ACK, body, link.name)

    def set_up(self, name: str) -> None:
        """Set its IFF_UP; it may be up already."""
        body = wire.IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, wire.IFF_UP, wire.IFF_UP) + _name(name)
        self._request(wire.RTM_NEWLINK, wire.NLM_F_ACK, body, name)

    def add_address(self, link: Link, address: Address) -> None:
        """Raises OSError: EEXIST when the link has it."""
        flags = address.flags & 0xFF
        body = wire.IFADDRMSG.pack(address.family, address.prefix_length, flags, address.scope, link.index)
        body += b"".join(wire.attribute(kind, value) for kind, value in address.attributes.items())
        self._request(
            wire.RTM_NEWADDR, wire.NLM_F_CREATE | wire.NLM_F_EXCL | wire.NLM_F_ACK, body, f"{link.name} {address}"
        )

    def _request(self, kind: int, flags: int, body: bytes, about: str) -> list[tuple[int, bytes]]:
        """Type and payload of each message of the answer. Raises OSError with what the kernel has to say."""
        self._sequence += 1
        message = wire.request(kind, flags, self._sequence, body)
        name = f"rtnetlink(7) {wire.NAMES[kind]}"
        try:
            if trace.sink is not None:
                return told(wire.NAMES[kind], (about,), lambda: self._exchange(message, flags), trace.sink)
            return self._exchange(message, flags)
        except OSError as error:
            raise OSError(error.errno, f"{name}: {error.strerror}", about) from None

    def _exchange(self, message: bytes, flags: int) -> list[tuple[int, bytes]]:
        self._socket.send(message)
        return list(self._answer(flags))

    def _answer(self, flags: int) -> Iterator[tuple[int, bytes]]:
        while True:
            data = self._socket.recv(_BUFFER, socket.MSG_TRUNC)
            if len(data) > _BUFFER:
                raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
            for kind, message_flags, sequence, payload in wire.messages(data):
                if sequence != self._sequence:
                    continue
                if message_flags & wire.NLM_F_DUMP_INTR and flags & wire.NLM_F_DUMP == wire.NLM_F_DUMP:
                    raise OSError(errno.EAGAIN, "changed while it was read")
                if kind == wire.NLMSG_DONE:
                    return
                if kind == wire.NLMSG_ERROR:
                    wire.raise_refusal(payload, message_flags)
                    return
                yield kind, payload


def _link(payload: bytes) -> Link:
    _, _, index, flags, _ = wire.IFINFOMSG.unpack_from(wire.checked(payload, wire.IFINFOMSG.size))
    attributes = wire.attributes(payload[wire.IFINFOMSG.size :])
    return Link(index, wire.string(attributes.get(_IFLA_IFNAME, b"")), bool(flags & wire.IFF_UP))


def _address(payload: bytes) -> Address:
    family, prefix_length, flags, scope, _ = wire.IFADDRMSG.unpack_from(wire.checked(payload, wire.IFADDRMSG.size))
    attributes = wire.attributes(payload[wire.IFADDRMSG.size :])
    if len(attributes.get(_IFA_FLAGS, b"")) == 4:
        flags = struct.unpack("=I", attributes[_IFA_FLAGS])[0]
    kept = {kind: attributes[kind] for kind in _IFA_KEPT if kind in attributes}
    return Address(family, prefix_length, flags, scope, kept)


def _name(name: str) -> bytes:
    encoded = os.fsencode(name)
    if not 0 < len(encoded) < _IFNAMSIZ:
        raise OSError(errno.EINVAL, "the name of a link has 1 to 15 bytes", name)
    return wire.attribute(_IFLA_IFNAME, encoded + b"\0")
