"""Leases, rules and files."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from aethel_common.database import Database
from aethel_common.errors import Exhausted
from aethel_net import files
from aethel_net.firewall import rules
from aethel_net.leases import LeaseStore
from aethel_net.model import Bridge

BRIDGE = Bridge("aetest", ipaddress.IPv4Network("10.9.0.0/29"))


@pytest.fixture
def leases(tmp_path: Path) -> LeaseStore:
    database = Database(tmp_path / "db", [LeaseStore.SCHEMA])
    yield LeaseStore(database)
    database._connection().close()


def test_every_container_gets_another_address_until_none_is_left(leases: LeaseStore) -> None:
    found = [leases.allocate(BRIDGE, str(number)) for number in range(5)]
    assert [str(each.ip_address) for each in found] == [f"10.9.0.{number}" for number in range(2, 7)]
    assert leases.allocate(BRIDGE, "3") == found[3]
    with pytest.raises(Exhausted, match=r"10\.9\.0\.0/29"):
        leases.allocate(BRIDGE, "one too many")
    leases.release("1")
    assert leases.allocate(BRIDGE, "next").ip_address == found[1].ip_address


def test_an_address_just_given_back_is_not_given_out_at_once(leases: LeaseStore) -> None:
    first = leases.allocate(BRIDGE, "a").ip_address
    leases.release("a")
    assert leases.allocate(BRIDGE, "b").ip_address != first


def test_the_table_of_a_bridge() -> None:
    text = rules.table(BRIDGE)
    assert text.startswith("add table ip aethel_aetest\ndelete table ip aethel_aetest\ntable ip aethel_aetest {")
    assert 'ip saddr 10.9.0.0/29 oifname != "aetest" masquerade' in text


def test_a_server_on_the_host_s_loopback_is_of_no_use_inside() -> None:
    host = "search a.example\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver ::1\n"
    assert files.resolv_conf(host, shares_host_network=False) == "search a.example\nnameserver 9.9.9.9\n"
    assert files.resolv_conf(host, shares_host_network=True) == host
