"""linux.resources: what it says, and the files it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_common.errors import InvalidSpec, Unsupported, WrongState
from aethel_run.cgroup.blockio import io_weight
from aethel_run.cgroup.controllers import Controllers
from aethel_run.cgroup.cpu import weight_of_shares
from aethel_run.cgroup.limits import check, ignored, needed, writes
from aethel_run.cgroup.memory import refuse_below_usage
from aethel_run.cgroup.present import Present, present
from aethel_run.cgroup.tree import Cgroup
from aethel_run.spec.resources import Memory, Resources

GIB = 1 << 30


def resources(**fields: Any) -> Resources:
    return msgspec.convert(fields, Resources)


def lines(now: Present = Present(), **fields: Any) -> list[tuple[str, str]]:
    return [(write.file, write.text) for write in writes(resources(**fields), now)]


def test_the_documents_own_example_is_read() -> None:
    document = b"""{
      "memory": {"limit": 1, "reservation": 2, "swap": 3, "kernel": -1, "kernelTCP": -1, "swappiness": 0,
                 "disableOOMKiller": false, "useHierarchy": true, "checkBeforeUpdate": true},
      "cpu": {"shares": 1024, "quota": 1, "burst": 2, "period": 3, "realtimeRuntime": 4, "realtimePeriod": 5,
              "cpus": "2-3", "mems": "0-7", "idle": 0},
      "pids": {"limit": 32771},
      "blockIO": {"weight": 10, "leafWeight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
                  "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
                  "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 601}],
                  "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 300}],
                  "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 301}]},
      "hugepageLimits": [{"pageSize": "2MB", "limit": 209715200}],
      "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
      "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
      "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
      "unified": {"io.max": "259:0 rbps=2097152"},
      "unheardOf": 1
    }"""
    read = msgspec.json.decode(document, type=Resources)
    assert read.memory.kernel_tcp == -1
    assert read.memory.disable_oom_killer is False
    assert read.block_io.throttle_read_iops_device[0].rate == 300
    assert read.block_io.throttle_write_iops_device[0].rate == 301
    assert read.network.class_id == 1048577
    assert read.rdma["mlx5_1"].hca_objects == 10000
    assert (read.devices[0].type, read.devices[0].major) == ("a", None)
    assert msgspec.json.decode(msgspec.json.encode(read), type=Resources) == read
    assert b'"disableOOMKiller":false' in msgspec.json.encode(read)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (b'{"memory": {"limit": "1g"}}', r"\$\.memory\.limit"),
        (b'{"cpu": {"shares": -1}}', r"\$\.cpu\.shares"),
        (b'{"blockIO": {"weight": 65536}}', r"\$\.blockIO\.weight"),
        (b'{"devices": [{"allow": true, "type": "u"}]}', r"\$\.devices\[0\]\.type"),
        (b'{"hugepageLimits": [{"pageSize": "2MB"}]}', r"\$\.hugepageLimits\[0\]"),
    ],
)
def test_what_is_of_the_wrong_type_is_named(document: bytes, path: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=path):
        msgspec.json.decode(document, type=Resources)


def test_an_empty_document_writes_nothing() -> None:
    assert lines() == []


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(1, 1), (2, 1), (3, 2), (512, 59), (1024, 100), (2048, 174), (10240, 639), (262143, 10000), (262144, 10000)],
)
def test_shares_become_weight(shares: int, weight: int) -> None:
    assert weight_of_shares(shares) == weight


@given(st.integers(1, 300_000), st.integers(1, 300_000))
def test_more_shares_never_weigh_less(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 1 <= weight_of_shares(low) <= weight_of_shares(high) <= 10000


@pytest.mark.parametrize(("weight", "v2"), [(10, 1), (100, 910), (500, 4950), (1000, 10000)])
def test_block_weight_becomes_io_weight(weight: int, v2: int) -> None:
    assert io_weight(weight) == v2


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({"limit": GIB}, [("memory.max", str(GIB))]),
        ({"limit": -1}, [("memory.max", "max"), ("memory.swap.max", "max")]),
        ({"limit": GIB, "swap": GIB}, [("memory.max", str(GIB)), ("memory.swap.max", "0")]),
        ({"limit": GIB, "swap": 3 * GIB}, [("memory.max", str(GIB)), ("memory.swap.max", str(2 * GIB))]),
        ({"limit": GIB, "swap": -1}, [("memory.max", str(GIB)), ("memory.swap.max", "max")]),
        ({"limit": -1, "swap": GIB}, [("memory.max", "max"), ("memory.swap.max", str(GIB))]),
        ({"limit": 0, "swap": 0, "reservation": 0}, []),
        ({"reservation": 5}, [("memory.low", "5")]),
        ({"disableOOMKiller": False, "useHierarchy": True, "kernel": 7}, []),
    ],
)
def test_memory(memory: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert lines(memory=memory) == expected


def test_room_is_given_before_it_is_taken() -> None:
    small = Present(memory_max=GIB, swap_max=0)
    assert [file for file, _ in lines(small, memory={"limit": GIB // 2, "swap": GIB})] == [
        "memory.swap.max",
        "memory.max",
    ]
    large = Present(memory_max=GIB, swap_max=GIB)
    assert [file for file, _ in lines(large, memory={"limit": GIB, "swap": GIB})] == ["memory.max", "memory.swap.max"]


def test_an_update_of_swap_alone_counts_from_the_limit_in_force() -> None:
    assert lines(Present(memory_max=GIB), memory={"swap": 3 * GIB}) == [("memory.swap.max", str(2 * GIB))]


def test_swap_without_accounting_is_lost_only_where_it_was_a_limit() -> None:
    optional = {limit: writes(resources(memory={"limit": 5, "swap": limit}))[-1].optional for limit in (-1, 5, 6)}
    assert optional == {-1: True, 5: True, 6: False}


@pytest.mark.parametrize(("limit", "text"), [(-1, "max"), (0, "1"), (1, "1"), (4096, "4096")])
def test_pids(limit: int, text: str) -> None:
    assert lines(pids={"limit": limit}) == [("pids.max", text)]


@pytest.mark.parametrize(
    ("cpu", "now", "expected"),
    [
        ({"quota": 50000}, Present(), [("cpu.max", "50000 100000")]),
        ({"quota": -1}, Present(quota=1000), [("cpu.max", "max 100000")]),
        ({"quota": 0, "period": 0, "shares": 0}, Present(), []),
        ({"period": 50000}, Present(quota=1000), [("cpu.max", "1000 50000")]),
        ({"quota": 2000}, Present(quota=1000, period=7000), [("cpu.max", "2000 7000")]),
        ({"burst": 5, "quota": 10}, Present(), [("cpu.max.burst", "5"), ("cpu.max", "10 100000")]),
        ({"burst": 9, "quota": 10}, Present(quota=8), [("cpu.max", "10 100000"), ("cpu.max.burst", "9")]),
        ({"idle": 1, "shares": 1024}, Present(), [("cpu.idle", "1")]),
        ({"idle": 0, "shares": 1024}, Present(), [("cpu.idle", "0"), ("cpu.weight", "100")]),
        ({"cpus": "0-1", "mems": "0"}, Present(), [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")]),
    ],
)
def test_cpu(cpu: dict[str, Any], now: Present, expected: list[tuple[str, str]]) -> None:
    assert lines(now, cpu=cpu) == expected


@given(st.integers(1, 99), st.none() | st.integers(0, 99), st.none() | st.integers(1, 99), st.integers(0, 99))
def test_no_moment_has_a_burst_above_its_quota(
    quota: int, burst: int | None, quota_now: int | None, burst_now: int
) -> None:
    """The kernel's rule, applied to each write in turn."""
    if (
        (burst or 0) > quota
        or (quota_now is not None and burst_now > quota_now)
        or (burst is None and burst_now > quota)
    ):
        return
    at: dict[str, int | None] = {"cpu.max": quota_now, "cpu.max.burst": burst_now}
    for file, text in lines(Present(quota=quota_now), cpu={"quota": quota, "burst": burst}):
        at[file] = int(text.split()[0])
        limit, spare = at["cpu.max"], at["cpu.max.burst"]
        assert spare is not None
        assert limit is None or spare <= limit


def test_block_io() -> None:
    block_io = {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}, {"major": 8, "minor": 16, "rate": 0}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
    }
    assert lines(blockIO=block_io) == [
        ("io.bfq.weight", "500"),
        ("io.bfq.weight", "8:0 10"),
        ("io.max", "8:0 rbps=600 wiops=3"),
        ("io.max", "8:16 rbps=max"),
    ]
    without_bfq = [write.instead for write in writes(resources(blockIO=block_io)) if write.instead]
    assert [(write.file, write.text) for write in without_bfq] == [("io.weight", "4950"), ("io.weight", "8:0 1")]


def test_huge_pages_and_rdma() -> None:
    assert lines(
        hugepageLimits=[{"pageSize": "2MB", "limit": 7}],
        rdma={"mlx5_1": {"hcaHandles": 3, "hcaObjects": 4}, "mlx4_0": {"hcaObjects": 0}},
    ) == [
        ("hugetlb.2MB.max", "7"),
        ("hugetlb.2MB.rsvd.max", "7"),
        ("rdma.max", "mlx4_0 hca_object=0"),
        ("rdma.max", "mlx5_1 hca_handle=3 hca_object=4"),
    ]


def test_unified_is_last_and_line_by_line() -> None:
    assert lines(unified={"memory.max": "5", "io.max": "8:0 rbps=1\n8:16 rbps=2\n"}, memory={"limit": 9}) == [
        ("memory.max", "9"),
        ("memory.max", "5"),
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:16 rbps=2"),
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"memory": {"limit": -2}}, "memory.limit"),
        ({"memory": {"swap": 5}}, "memory.swap"),
        ({"memory": {"limit": 6, "swap": 5}}, "memory.swap"),
        ({"cpu": {"idle": 2}}, "cpu.idle"),
        ({"cpu": {"quota": 5, "burst": 6}}, "cpu.burst"),
        ({"blockIO": {"weight": 9}}, "blockIO: weight 9"),
        ({"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}, r"weightDevice\[0\]"),
        ({"hugepageLimits": [{"pageSize": "../../x", "limit": 1}]}, "hugepageLimits"),
        ({"hugepageLimits": [{"pageSize": "MB", "limit": 1}]}, "hugepageLimits"),
        ({"rdma": {"a b": {"hcaObjects": 1}}}, "rdma"),
        ({"rdma": {"a": {}}}, "rdma.a"),
        ({"unified": {"../x": "1"}}, "unified"),
        ({"unified": {"memory/max": "1"}}, "unified"),
        ({"unified": {"memory": "1"}}, "unified"),
        ({"unified": {".max": "1"}}, "unified"),
        ({"unified": {"cgroup.procs": "1"}}, "cgroup.procs is not a limit"),
    ],
)
def test_nonsense_is_refused_with_its_path(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        lines(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"memory": {"swappiness": 0}}, "memory.swappiness"),
        ({"memory": {"disableOOMKiller": True}}, "memory.disableOOMKiller"),
        ({"memory": {"useHierarchy": False}}, "memory.useHierarchy"),
        ({"cpu": {"realtimeRuntime": 1}}, "cpu.realtimeRuntime"),
        ({"cpu": {"realtimePeriod": 1}}, "cpu.realtimePeriod"),
        ({"network": {"classID": 1}}, "network.classID"),
        ({"network": {"priorities": [{"name": "eth0", "priority": 1}]}}, "network.priorities"),
        ({"blockIO": {"leafWeight": 100}}, "blockIO.leafWeight"),
        ({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 9}]}}, "leafWeight"),
    ],
)
def test_what_v2_has_not_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        lines(**fields)


def test_what_is_passed_over_is_told() -> None:
    assert ignored(resources(memory={"kernel": 5, "kernelTCP": -1})) == ("linux.resources.memory.kernel",)
    assert ignored(resources(memory={"limit": 5})) == ()


def test_only_the_controllers_of_what_is_set_are_needed() -> None:
    assert needed(resources(cpu={"cpus": "0"}, pids={"limit": 5}, unified={"cgroup.max.depth": "3"})) == {
        "cpuset",
        "pids",
    }


def test_a_controller_that_is_on_v1_is_told_from_one_that_is_nowhere() -> None:
    here = Controllers(mount=Path("/sys/fs/cgroup/unified"), names=frozenset({"pids"}), on_v1=frozenset({"blkio"}))
    check(resources(pids={"limit": 5}), here)
    block_io = {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}
    with pytest.raises(Unsupported) as on_v1:
        check(resources(blockIO=block_io), here)
    assert "io is not a controller of the cgroup2 tree at /sys/fs/cgroup/unified; it is on a v1 hierarchy" in str(
        on_v1.value
    )
    assert "io.max cannot be set" in str(on_v1.value)
    with pytest.raises(
        Unsupported, match=r"memory is not a controller .*it has pids, so memory\.max, memory\.swap\.max"
    ):
        check(resources(memory={"limit": 5, "swap": 5}), here)


def test_a_limit_below_what_is_used_is_refused_when_that_was_asked_for() -> None:
    now = Present(memory_current=100, swap_current=10)
    refuse_below_usage(Memory(limit=100), now)
    refuse_below_usage(Memory(limit=101, check_before_update=True), now)
    with pytest.raises(WrongState, match="100 bytes in use"):
        refuse_below_usage(Memory(limit=100, check_before_update=True), now)
    with pytest.raises(WrongState, match="110 bytes in use"):
        refuse_below_usage(Memory(swap=110, check_before_update=True), now)


def test_what_is_in_force_is_read(tmp_path: Path) -> None:
    assert present(Cgroup(tmp_path)) == Present()
    for file, text in {
        "memory.max": "max\n",
        "memory.swap.max": "5\n",
        "memory.current": "7\n",
        "cpu.max": "8 9\n",
    }.items():
        (tmp_path / file).write_text(text)
    assert present(Cgroup(tmp_path)) == Present(swap_max=5, memory_current=7, quota=8, period=9)
