"""Links of the host that move in, and its own loopback. Each test names its section of the spec."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from aethel_common.errors import AlreadyExists, InvalidArgument, NotFound
from aethel_common.linux import namespaces
from aethel_common.linux.namespaces import CloneFlags
from aethel_common.linux.netlink import Rtnetlink
from aethel_run.spec.linux import NetDevice
from tests.harness.scripts import open_descriptors
from tests.host.attributes.conftest import Run

# config-linux.md#network-devices


@pytest.fixture
def host_network() -> Iterator[None]:
    """A network namespace that stands for the host's, with this process in it."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    namespaces.unshare(CloneFlags.NEWNET)
    try:
        yield
    finally:
        namespaces.setns(own, CloneFlags.NEWNET)
        os.close(own)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def _link(name: str, *addresses: str) -> None:
    """One end of a pair whose other end is up; `ip` sees to the rest."""
    _ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-peer")
    _ip("link", "set", f"{name}-peer", "up")
    for address in addresses:
        _ip("address", "add", *address.split(), "dev", name)
    _ip("link", "set", name, "up")


def _moved(**devices: str) -> dict[str, Any]:
    return {"net_devices": {name: NetDevice(name=new_name) for name, new_name in devices.items()}}


@pytest.mark.usefixtures("host_network")
@pytest.mark.parametrize("userns", [False, True])
def test_a_link_moves_with_its_addresses_and_is_up(run: Run, userns: bool) -> None:
    """config-linux.md#network-devices: permanent global addresses of any family go along, others do not."""
    _link(
        "d0",
        "10.66.0.2/24 brd 10.66.0.255",
        "10.66.0.3 peer 10.66.1.1/32",
        "fd66::2/64 nodad",
        "10.66.9.9/24 valid_lft 1000 preferred_lft 500",
        "169.254.7.7/16 scope link",
    )
    lines = run("ip address show dev eth7", userns=userns, linux=_moved(d0="eth7")).splitlines()
    assert ",UP" in lines[0]
    assert [line.strip().split(" dev ")[0] for line in lines if " inet" in line and "fe80" not in line] == [
        "inet 10.66.0.2/24 brd 10.66.0.255 scope global eth7",
        "inet 10.66.0.3 peer 10.66.1.1/32 scope global eth7",
        "inet6 fd66::2/64 scope global flags 02",
    ]
    assert _links() == ["lo"]


def _links() -> list[str]:
    """Those that are up, and lo; without the peers."""
    with Rtnetlink() as rtnetlink:
        return [link.name for link in rtnetlink.links() if "-peer" not in link.name and (link.up or link.name == "lo")]


@pytest.mark.usefixtures("host_network")
def test_a_link_keeps_its_name_unless_it_is_given_one(run: Run) -> None:
    """config-linux.md#network-devices (name)"""
    _link("d0")
    assert " d0@" in run("ip -o link show dev d0", linux=_moved(d0=""))


@pytest.mark.usefixtures("host_network")
def test_a_template_gets_the_first_number_that_is_free(run: Run) -> None:
    """config-linux.md#network-devices: `%d`"""
    _link("d0", "10.66.0.1/24")
    _link("d1", "10.66.0.2/24")
    answer = run("ip -o -4 address show", linux=_moved(d0="net%d", d1="net%d"))
    assert re.findall(r"(net\d) +inet ([\d.]+)", answer) == [("net0", "10.66.0.1"), ("net1", "10.66.0.2")]


@pytest.mark.usefixtures("host_network")
def test_a_link_that_is_not_there_is_named_and_the_others_are_back(run: Run) -> None:
    """config-linux.md#network-devices: an error leaves the host as it was."""
    _link("d0", "10.66.0.2/24", "fd66::2/64 nodad")
    before = _ip("-o", "address", "show", "dev", "d0", "scope", "global").replace("dynamic", "")
    descriptors = open_descriptors()
    with pytest.raises(NotFound, match=r"linux\.netDevices: d1: no such link"):
        run("true", linux=_moved(d0="eth7", d1="eth8"))
    assert open_descriptors() == descriptors
    after = _ip("-o", "address", "show", "dev", "d0", "scope", "global")
    assert [line.split()[1:4] for line in after.splitlines()] == [line.split()[1:4] for line in before.splitlines()]
    assert _links() == ["lo", "d0"]


@pytest.mark.usefixtures("host_network")
def test_a_name_that_is_taken_inside_is_an_error(run: Run) -> None:
    """config-linux.md#network-devices: it MUST be."""
    _link("d0", "10.66.0.2/24")
    with pytest.raises(AlreadyExists, match=r"linux\.netDevices: d0: the container has a link lo already"):
        run("true", linux=_moved(d0="lo"))
    assert _links() == ["lo", "d0"]


@pytest.mark.usefixtures("host_network")
def test_a_link_that_cannot_move_is_an_error_in_the_kernels_words(run: Run) -> None:
    """config-linux.md#network-devices: the runtime MUST check if the move is possible."""
    with pytest.raises(InvalidArgument, match=r"linux\.netDevices: lo: .*RTM_NEWLINK: Invalid argument"):
        run("true", linux=_moved(lo="lo9"))


# config-linux.md#namespaces (network)


@pytest.mark.parametrize("userns", [False, True])
def test_loopback_is_up_in_a_new_network_namespace(run: Run, userns: bool) -> None:
    """config-linux.md#namespaces (network): as every runtime has it."""
    answer = run("ip address show dev lo", userns=userns)
    assert "LOOPBACK,UP" in answer
    assert "inet 127.0.0.1/8" in answer


def test_a_link_name_with_a_length_that_does_not_fit_is_refused() -> None:
    """CVE-2021-43784: lengths are checked before they are sent."""
    with Rtnetlink() as rtnetlink:
        for name in ("", "x" * 16, "x" * 70000):
            with pytest.raises(OSError, match="1 to 15 bytes"):
                rtnetlink.set_up(name)
        assert rtnetlink.link("lo").index == socket.if_nametoindex("lo")
