"""Messages of rtnetlink and their attributes, as bytes. man 7 netlink, man 7 rtnetlink

Every length is checked both ways: CVE-2021-43784 was a length that did not fit its field.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import Final

# linux/netlink.h
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLM_F_ACK: Final = 0x4
NLM_F_DUMP_INTR: Final = 0x10
NLM_F_EXCL: Final = 0x200
NLM_F_DUMP: Final = 0x300
NLM_F_CREATE: Final = 0x400
_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK_TLVS: Final = 0x200
_NLMSGERR_ATTR_MSG: Final = 1

# linux/rtnetlink.h
RTM_NEWLINK: Final = 16
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
NAMES: Final = {
    RTM_NEWLINK: "RTM_NEWLINK",
    RTM_GETLINK: "RTM_GETLINK",
    RTM_NEWADDR: "RTM_NEWADDR",
    RTM_GETADDR: "RTM_GETADDR",
    RTM_NEWROUTE: "RTM_NEWROUTE",
}
RT_SCOPE_UNIVERSE: Final = 0

# linux/if.h, linux/if_addr.h
IFF_UP: Final = 0x1
IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
IFINFOMSG: Final = struct.Struct("=BxHiII")
IFADDRMSG: Final = struct.Struct("=BBBBI")

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR: Final = struct.Struct("=i")
_TYPE_MASK: Final = 0x3FFF
"""Without NLA_F_NESTED and NLA_F_NET_BYTEORDER."""


def request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """One message to the kernel. Every body is a whole number of four-byte words: no padding comes after it."""
    return _HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST | flags, sequence, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded. Raises OSError(EMSGSIZE) for what does not fit into its two bytes of length."""
    length = _ATTRIBUTE.size + len(value)
    if length > 0xFFFF:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and payload of each. Raises OSError(EBADMSG) when a length is not right."""
    at = 0
    while at < len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(checked(data, at + _HEADER.size), at)
        if length < _HEADER.size:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        yield kind, flags, sequence, checked(data, at + length)[at + _HEADER.size : at + length]
        at += _aligned(length)


def raise_refusal(payload: bytes, flags: int) -> None:
    """Nothing when the error is 0, which is how the kernel says yes."""
    number = -_ERROR.unpack_from(checked(payload, _ERROR.size))[0]
    if not number:
        return
    reason = os.strerror(number)
    if flags & _NLM_F_ACK_TLVS:
        # After the number comes the header of the request, without its body (NETLINK_CAP_ACK).
        said = attributes(payload[_ERROR.size + _HEADER.size :]).get(_NLMSGERR_ATTR_MSG)
        if said:
            reason += f" ({string(said)})"
    raise OSError(number, reason)


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a message by their type. Raises OSError(EBADMSG) when a length is not right."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        length, kind = _ATTRIBUTE.unpack_from(checked(data, at + _ATTRIBUTE.size), at)
        if length < _ATTRIBUTE.size:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        found[kind & _TYPE_MASK] = checked(data, at + length)[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def string(value: bytes) -> str:
    """A string of C."""
    return os.fsdecode(value.partition(b"\0")[0])


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def checked(data: bytes, needed: int) -> bytes:
    """`data`, which has so many bytes at least. Raises OSError(EBADMSG) otherwise."""
    if needed > len(data):
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
    return data
