"""Links of the host that move into the container's network namespace. config-linux.md#network-devices

The kernel takes a link down and drops its addresses when it moves; both are given back in its new place.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from aethel_common.errors import AethelError, AlreadyExists, InvalidArgument, NotFound, from_os, subclasses
from aethel_common.linux import namespaces
from aethel_common.linux.namespaces import CloneFlags
from aethel_common.linux.netlink import Address, Link, Rtnetlink
from aethel_common.undo import Undo
from aethel_run.spec.linux import NetDevice


def move(netns_fd: int, devices: Mapping[str, NetDevice]) -> None:
    """Move the links, each with its global permanent addresses, rename them and set them up; all of them or none.

    A child does it, which joins the namespace and ends: the caller, which must have one thread, stays where it is.
    Raises NotFound, AlreadyExists, InvalidArgument, NotPermitted, AethelError; each names the link.
    """
    if not devices:
        return
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with open(reading, "rb") as answer:
        pid = os.fork()
        if pid == 0:
            _child(writing, netns_fd, devices)
        os.close(writing)
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    if text:
        raise msgspec.json.decode(text, type=_Failure).error()
    if status:
        raise AethelError("linux.netDevices: the process that moves the links died")


class _Failure(msgspec.Struct, frozen=True):
    """What went wrong in the child; `kind` is the class of error."""

    kind: str
    message: str
    notes: list[str]

    def error(self) -> AethelError:
        """What the parent raises."""
        error = subclasses()[self.kind](self.message)
        for note in self.notes:
            error.add_note(note)
        return error


def _child(writing: int, netns_fd: int, devices: Mapping[str, NetDevice]) -> NoReturn:
    try:
        _move_all(netns_fd, devices)
        os._exit(0)
    except AethelError as error:
        failure = _Failure(type(error).__name__, error.message, getattr(error, "__notes__", []))
        os.write(writing, msgspec.json.encode(failure))
    finally:
        os._exit(1)


@dataclass(frozen=True, slots=True)
class _Place:
    """A network namespace: a way to send a link there, and one to speak to it."""

    netns_fd: int
    rtnetlink: Rtnetlink


def _move_all(netns_fd: int, devices: Mapping[str, NetDevice]) -> None:
    with Rtnetlink() as rtnetlink:
        host = _Place(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC), rtnetlink)
        try:
            namespaces.setns(netns_fd, CloneFlags.NEWNET)
        except OSError as error:
            raise from_os(error, "linux.netDevices: join the network namespace") from error
        with Rtnetlink() as inside, Undo() as undo:
            container = _Place(netns_fd, inside)
            for name, device in devices.items():
                try:
                    _move_one(host, container, name, device.name or name, undo)
                except OSError as error:
                    raise _explained(error, name) from error
            undo.keep()


def _move_one(host: _Place, container: _Place, name: str, wanted: str, undo: Undo) -> None:
    link = host.rtnetlink.link(name)
    addresses = [each for each in host.rtnetlink.addresses(link) if each.is_global_and_permanent]
    taken = {each.name: each for each in container.rtnetlink.links()}
    new_name = _numbered(wanted, taken)
    if new_name in taken:
        raise AlreadyExists(f"linux.netDevices: {name}: the container has a link {new_name} already")
    undo.later(lambda: _bring_back(host, container, link, new_name, addresses, taken))
    host.rtnetlink.move(link, container.netns_fd, new_name)
    _give_back(container.rtnetlink, container.rtnetlink.link(new_name), addresses)
    container.rtnetlink.set_up(new_name)


def _numbered(wanted: str, taken: Iterable[str]) -> str:
    """The name itself, or its template with the first number that is free."""
    if "%d" not in wanted:
        return wanted
    used = set(taken)
    number = 0
    while wanted.replace("%d", str(number)) in used:
        number += 1
    return wanted.replace("%d", str(number))


def _bring_back(
    host: _Place, container: _Place, link: Link, new_name: str, addresses: list[Address], before: Iterable[str]
) -> None:
    # The kernel may have moved it and refused only the new name: then it is there under its old one.
    there = {each.name: each for each in container.rtnetlink.links() if each.name not in before}
    moved = there.get(new_name) or there.get(link.name)
    if moved is None:
        return
    container.rtnetlink.move(moved, host.netns_fd, link.name)
    _give_back(host.rtnetlink, host.rtnetlink.link(link.name), addresses)
    if link.up:
        host.rtnetlink.set_up(link.name)


def _give_back(rtnetlink: Rtnetlink, link: Link, addresses: list[Address]) -> None:
    for address in addresses:
        rtnetlink.add_address(link, address)


def _explained(error: OSError, name: str) -> AethelError:
    if error.errno == errno.ENODEV:
        return NotFound(f"linux.netDevices: {name}: no such link in the runtime's network namespace")
    if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
        return InvalidArgument(f"linux.netDevices: {name}: {error.strerror}")
    return from_os(error, f"linux.netDevices: {name}")
