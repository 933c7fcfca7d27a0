"""Links and addresses, in the few requests that a runtime has. man 7 rtnetlink

Requests are small, sent one at a time, and every length is checked both ways: CVE-2021-43784 was a length that did not
fit its field.
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

from aethel_common.linux.trace import told, trace

_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_RTM_NEWLINK: Final = 16
_RTM_GETLINK: Final = 18
_RTM_NEWADDR: Final = 20
_RTM_GETADDR: Final = 22
_NAMES: Final = {
    _RTM_NEWLINK: "RTM_NEWLINK",
    _RTM_GETLINK: "RTM_GETLINK",
    _RTM_NEWADDR: "RTM_NEWADDR",
    _RTM_GETADDR: "RTM_GETADDR",
}

_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK: Final = 0x4
_NLM_F_DUMP_INTR: Final = 0x10
_NLM_F_EXCL: Final = 0x200
_NLM_F_DUMP: Final = 0x300
_NLM_F_CREATE: Final = 0x400
_NLM_F_ACK_TLVS: Final = 0x200
_NLMSGERR_ATTR_MSG: Final = 1

_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11

_IFF_UP: Final = 0x1
_IFLA_IFNAME: Final = 3
_IFLA_NET_NS_FD: Final = 28
_IFNAMSIZ: Final = 16

_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_BROADCAST: Final = 4
_IFA_FLAGS: Final = 8
_IFA_RT_PRIORITY: Final = 9
_IFA_KEPT: Final[tuple[int, ...]] = (_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS, _IFA_RT_PRIORITY)
"""The label begins with the old name of the link, and the times are those of every permanent address."""
_IFA_F_PERMANENT: Final = 0x80
_RT_SCOPE_UNIVERSE: Final = 0

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_IFINFO: Final = struct.Struct("=BxHiII")
_IFADDR: Final = struct.Struct("=BBBBI")
_ERROR: Final = struct.Struct("=i")
_BUFFER: Final = 1 << 16
_TYPE_MASK: Final = 0x3FFF
"""Without NLA_F_NESTED and NLA_F_NET_BYTEORDER."""


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
        return self.scope == _RT_SCOPE_UNIVERSE and bool(self.flags & _IFA_F_PERMANENT)

    def __str__(self) -> str:
        raw = self.attributes.get(_IFA_LOCAL, self.attributes.get(_IFA_ADDRESS, b""))
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
        body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _name(name)
        for kind, payload in self._request(_RTM_GETLINK, _NLM_F_ACK, body, name):
            if kind == _RTM_NEWLINK:
                return _link(payload)
        raise OSError(errno.ENODEV, f"rtnetlink(7) RTM_GETLINK: {os.strerror(errno.ENODEV)}", name)

    def links(self) -> list[Link]:
        """All of them."""
        body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        answers = self._request(_RTM_GETLINK, _NLM_F_DUMP, body, "")
        return [_link(payload) for kind, payload in answers if kind == _RTM_NEWLINK]

    def addresses(self, link: Link) -> list[Address]:
        """Those of one link, of every family."""
        body = _IFADDR.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        found: list[Address] = []
        for kind, payload in self._request(_RTM_GETADDR, _NLM_F_DUMP, body, link.name):
            if kind == _RTM_NEWADDR and _IFADDR.unpack_from(_checked(payload, _IFADDR.size))[4] == link.index:
                found.append(_address(payload))
        return found

    def move(self, link: Link, netns_fd: int, name: str) -> None:
        """Put it into another namespace, down and without addresses, under a new name; not into one where it is taken.

        When only the new name is refused, the link has moved all the same, under its old one.
        """
        body = _IFINFO.pack(socket.AF_UNSPEC, 0, link.index, 0, 0)
        body += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", netns_fd)) + _name(name)
        self._request(_RTM_NEWLINK, _NLM_F_ACK, body, link.name)

    def set_up(self, name: str) -> None:
        """Set its IFF_UP; it may be up already."""
        body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, _IFF_UP, _IFF_UP) + _name(name)
        self._request(_RTM_NEWLINK, _NLM_F_ACK, body, name)

    def add_address(self, link: Link, address: Address) -> None:
        """Raises OSError: EEXIST when the link has it."""
        flags = address.flags & 0xFF
        body = _IFADDR.pack(address.family, address.prefix_length, flags, address.scope, link.index)
        body += b"".join(_attribute(kind, value) for kind, value in address.attributes.items())
        self._request(_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_EXCL | _NLM_F_ACK, body, f"{link.name} {address}")

    def _request(self, kind: int, flags: int, body: bytes, about: str) -> list[tuple[int, bytes]]:
        """Type and payload of each message of the answer. Raises OSError with what the kernel has to say."""
        self._sequence += 1
        message = _HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST | flags, self._sequence, 0) + body
        name = f"rtnetlink(7) {_NAMES[kind]}"
        try:
            if trace.sink is not None:
                return told(_NAMES[kind], (about,), lambda: self._exchange(message, flags), trace.sink)
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
            for kind, message_flags, sequence, payload in _messages(data):
                if sequence != self._sequence:
                    continue
                if message_flags & _NLM_F_DUMP_INTR and flags & _NLM_F_DUMP == _NLM_F_DUMP:
                    raise OSError(errno.EAGAIN, "changed while it was read")
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    _raise_refusal(payload, message_flags)
                    return
                yield kind, payload


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and payload of each. Raises OSError(EBADMSG) when a length is not right."""
    at = 0
    while at < len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(_checked(data, at + _HEADER.size), at)
        if length < _HEADER.size:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        yield kind, flags, sequence, _checked(data, at + length)[at + _HEADER.size : at + length]
        at += _aligned(length)


def _raise_refusal(payload: bytes, flags: int) -> None:
    """Nothing when the error is 0, which is how the kernel says yes."""
    number = -_ERROR.unpack_from(_checked(payload, _ERROR.size))[0]
    if not number:
        return
    reason = os.strerror(number)
    if flags & _NLM_F_ACK_TLVS:
        # After the number comes the header of the request, without its body (NETLINK_CAP_ACK).
        said = _attributes(payload[_ERROR.size + _HEADER.size :]).get(_NLMSGERR_ATTR_MSG)
        if said:
            reason += f" ({_string(said)})"
    raise OSError(number, reason)


def _link(payload: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(_checked(payload, _IFINFO.size))
    attributes = _attributes(payload[_IFINFO.size :])
    return Link(index, _string(attributes.get(_IFLA_IFNAME, b"")), bool(flags & _IFF_UP))


def _address(payload: bytes) -> Address:
    family, prefix_length, flags, scope, _ = _IFADDR.unpack_from(_checked(payload, _IFADDR.size))
    attributes = _attributes(payload[_IFADDR.size :])
    if len(attributes.get(_IFA_FLAGS, b"")) == 4:
        flags = struct.unpack("=I", attributes[_IFA_FLAGS])[0]
    kept = {kind: attributes[kind] for kind in _IFA_KEPT if kind in attributes}
    return Address(family, prefix_length, flags, scope, kept)


def _attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a message by their type. Raises OSError(EBADMSG) when a length is not right."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        length, kind = _ATTRIBUTE.unpack_from(_checked(data, at + _ATTRIBUTE.size), at)
        if length < _ATTRIBUTE.size:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        found[kind & _TYPE_MASK] = _checked(data, at + length)[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded. Raises OSError(EMSGSIZE) for what does not fit into its two bytes of length."""
    length = _ATTRIBUTE.size + len(value)
    if length > 0xFFFF:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _name(name: str) -> bytes:
    encoded = os.fsencode(name)
    if not 0 < len(encoded) < _IFNAMSIZ:
        raise OSError(errno.EINVAL, "the name of a link has 1 to 15 bytes", name)
    return _attribute(_IFLA_IFNAME, encoded + b"\0")


def _string(value: bytes) -> str:
    return os.fsdecode(value.partition(b"\0")[0])


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _checked(data: bytes, needed: int) -> bytes:
    if needed > len(data):
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
    return data
