"""Where a cgroup is, what its files say, and what systemd is told: all that needs no kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aethel_common.errors import InvalidSpec, NotFound, TimedOut, Unavailable, Unsupported
from aethel_run.cgroup import events, figures, freezer, limits, stats, walk
from aethel_run.cgroup.controllers import controllers
from aethel_run.cgroup.managers.disabled import Disabled
from aethel_run.cgroup.managers.properties import INFINITY, bits, oom_policy, render
from aethel_run.cgroup.managers.systemd import Systemd
from aethel_run.cgroup.managers.unit import Unit
from aethel_run.cgroup.place import resolve
from aethel_run.cgroup.stats import Part, page_size
from aethel_run.cgroup.tree import Cgroup
from aethel_run.cgroup.update import merge
from aethel_run.spec.resources import DeviceRule, Resources

MOUNT = Path("/sys/fs/cgroup")


def resources(**fields: Any) -> Resources:
    return msgspec.convert(fields, Resources)


@pytest.mark.parametrize(
    ("path", "own", "expected"),
    [
        ("/a/b", "/user.slice/session", "a/b"),
        ("//a", "/", "a"),
        ("a/b", "/user.slice/session", "user.slice/a/b"),
        ("a", "/", "a"),
        ("", "/user.slice/session", "user.slice/aethel-id"),
        ("", "/", "aethel-id"),
    ],
)
def test_where_a_cgroups_path_leads(path: str, own: str, expected: str) -> None:
    assert resolve(path, "id", mount=MOUNT, own=PurePosixPath(own)) == MOUNT / expected


@pytest.mark.parametrize("path", ["..", "/../x", "a/../../b", "/", "//", "a\nb", "a\0b"])
def test_a_path_that_could_lead_out_is_refused(path: str) -> None:
    with pytest.raises(InvalidSpec, match="cgroupsPath"):
        resolve(path, "id", mount=MOUNT, own=PurePosixPath("/"))


def test_a_relative_path_needs_a_place_of_our_own() -> None:
    outside = PurePosixPath("/../x")
    assert resolve("/a", "id", mount=MOUNT, own=outside) == MOUNT / "a"
    with pytest.raises(Unsupported, match="outside of our cgroup namespace"):
        resolve("a", "id", mount=MOUNT, own=outside)


def test_controllers_are_those_at_the_top_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "a/cgroup.controllers").write_text("\n")
    found = controllers(tmp_path / "a/b/c")
    assert (found.mount, found.names) == (tmp_path, frozenset({"cpu", "memory"}))
    with pytest.raises(Unsupported, match="not in a cgroup2 tree"):
        controllers(Path("/proc/x"))


@settings(deadline=None)
@given(st.recursive(st.just({}), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=12))
def test_a_walk_meets_all_that_is_below_and_children_first(tree: dict[str, Any]) -> None:
    def build(at: Path, inside: dict[str, Any]) -> list[Path]:
        made: list[Path] = []
        for name, below in inside.items():
            (at / name).mkdir()
            made += [*build(at / name, below), at / name]
        return made

    with tempfile.TemporaryDirectory() as top:
        made = build(Path(top), tree)
        met = [Path(os.readlink(f"/proc/self/fd/{fd}")) / name for fd, name in walk.below(top)]
    assert sorted(met) == sorted(made)
    for index, path in enumerate(met):
        assert not any(path in earlier.parents for earlier in met[index + 1 :])


def test_a_tree_deeper_than_a_path_is_walked(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=fd)
        inner = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    count = 0
    for parent, name in walk.below(tmp_path):
        os.rmdir(name, dir_fd=parent)
        count += 1
    assert count == 1500
    assert list(walk.below(tmp_path / "gone")) == []


FILES = {
    "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 3\nthrottled_usec 5\n",
    "cpu.pressure": "some avg10=1.50 avg60=0.10 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "memory.current": "1000\n",
    "memory.max": "max\n",
    "memory.peak": "2000\n",
    "memory.swap.current": "5\n",
    "memory.swap.max": "50\n",
    "memory.stat": "anon 400\nfile 500\ninactive_file 300\n",
    "memory.events": "low 0\noom 2\noom_kill 1\n",
    "pids.current": "3\n",
    "pids.max": "10\n",
    "io.stat": "98:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n",
    "rdma.current": "mlx4_0 hca_handle=2 hca_object=2000\n",
    "rdma.max": "mlx4_0 hca_handle=max hca_object=3000\n",
}


@pytest.fixture
def full(tmp_path: Path) -> Cgroup:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return Cgroup(tmp_path)


def test_figures_are_read(full: Cgroup) -> None:
    found = stats.read(full)
    assert found.cpu is not None
    assert found.memory is not None
    assert found.io is not None
    assert (found.cpu.usage, found.cpu.throttled_periods) == (30, 3)
    assert found.cpu.pressure is not None
    assert found.cpu.pressure.some.avg10 == 1.5
    assert (found.memory.usage.limit, found.memory.usage.peak, found.memory.without_cache) == (None, 2000, 700)
    assert found.memory.swap == figures.Usage(current=5, limit=50)
    assert found.memory.events["oom_kill"] == 1
    assert found.pids == figures.Pids(current=3, limit=10)
    assert found.io.devices[0].values["wbytes"] == 8192
    assert found.io.devices[1] == figures.Device(major=7, minor=0, values={})
    assert found.rdma["mlx4_0"].limit == {"hca_handle": None, "hca_object": 3000}


def test_what_is_not_there_is_absent_and_not_nought(tmp_path: Path) -> None:
    assert stats.read(Cgroup(tmp_path)) == figures.Stats()
    with pytest.raises(NotFound):
        stats.read(Cgroup(tmp_path / "gone"))


def test_only_what_is_asked_for_is_read(full: Cgroup) -> None:
    found = stats.read(full, Part.CPU | Part.PIDS)
    assert found.cpu is not None
    assert found.cpu.pressure is None
    assert found == figures.Stats(cpu=found.cpu, pids=found.pids)


def test_events_speak_as_runc_does(full: Cgroup) -> None:
    line = events.stats_line("web", stats.read(full))
    assert line.endswith(b"}\n")
    event = json.loads(line)
    assert (event["type"], event["id"]) == ("stats", "web")
    data = event["data"]
    assert data["cpu"]["usage"] == {"total": 30000, "kernel": 10000, "user": 20000}
    assert data["cpu"]["throttling"] == {"periods": 4, "throttledPeriods": 3, "throttledTime": 5000}
    assert data["cpu"]["psi"]["some"] == {"avg10": 1.5, "avg60": 0.1, "avg300": 0.0, "total": 7}
    assert data["memory"]["usage"] == {"limit": 2**64 - 1, "usage": 1000, "max": 2000, "failcnt": 0}
    assert data["memory"]["swap"] == {"limit": 2**64 - 1, "usage": 1005, "failcnt": 0}
    assert data["memory"]["kernel"] == {"limit": 0, "failcnt": 0}
    assert (data["memory"]["cache"], data["memory"]["raw"]["anon"]) == (500, 400)
    assert data["pids"] == {"current": 3, "limit": 10}
    assert data["blkio"]["ioServiceBytesRecursive"] == [
        {"major": 98, "op": "Read", "value": 4096},
        {"major": 98, "op": "Write", "value": 8192},
    ]
    assert data["blkio"]["ioServicedRecursive"][1] == {"major": 98, "op": "Write", "value": 2}
    assert (data["hugetlb"], data["intel_rdt"], data["network_interfaces"]) == ({}, {}, None)


def test_events_of_an_empty_cgroup_have_every_part(tmp_path: Path) -> None:
    data = json.loads(events.stats_line("x", stats.read(Cgroup(tmp_path))))["data"]
    assert set(data) == {"cpu", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"}
    assert data["memory"]["usage"] == {"limit": 0, "failcnt": 0}


def test_out_of_memory_is_an_event_without_data() -> None:
    assert events.oom_line("web") == b'{"type":"oom","id":"web"}\n'


@pytest.mark.parametrize(("kilobytes", "name"), [(64, "64KB"), (2048, "2MB"), (1048576, "1GB")])
def test_page_sizes_are_named_as_the_files_are(kilobytes: int, name: str) -> None:
    assert page_size(kilobytes) == name


@pytest.mark.parametrize(
    ("path", "user", "slice_", "name", "inside"),
    [
        ("", False, "system.slice", "aethel-id.scope", "system.slice/aethel-id.scope"),
        ("", True, "user.slice", "aethel-id.scope", "user.slice/aethel-id.scope"),
        ("a-b.slice:p:n", False, "a-b.slice", "p-n.scope", "a.slice/a-b.slice/p-n.scope"),
        ("-:p:n", False, "-.slice", "p-n.scope", "p-n.scope"),
        (":crio:1234", False, "system.slice", "crio-1234.scope", "system.slice/crio-1234.scope"),
    ],
)
def test_a_scope_is_named(path: str, user: bool, slice_: str, name: str, inside: str) -> None:
    unit = Unit.parse(path, "id", user=user)
    assert (unit.slice, unit.name, unit.path) == (slice_, name, PurePosixPath(inside))


@pytest.mark.parametrize(
    "path",
    ["/a/b", "a:b", "a.slice:b:", "a/b.slice:p:n", "a--b.slice:p:n", "a:p:n", "a.slice:p/q:n", "s.slice:p:n.slice"],
)
def test_what_is_no_scope_is_refused(path: str) -> None:
    with pytest.raises(InvalidSpec, match="cgroupsPath"):
        Unit.parse(path, "id", user=False)


def told(version: int = 252, **fields: Any) -> tuple[dict[str, object], list[tuple[str, str]]]:
    properties, rest = render(limits.writes(resources(**fields)), version)
    return {name: value for name, (_, value) in properties}, [(write.file, write.text) for write in rest]


def test_limits_are_told_to_systemd_and_only_the_rest_is_written() -> None:
    properties, rest = told(
        memory={"limit": 1000, "swap": 1500, "reservation": 10},
        cpu={"shares": 1024, "quota": 50000, "cpus": "0-1,9", "mems": "0", "burst": 1},
        pids={"limit": -1},
        blockIO={"weight": 1000, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]},
        unified={"memory.high": "5M", "memory.oom.group": "1"},
    )
    assert properties == {
        "TasksMax": INFINITY,
        "MemoryMax": 1000,
        "MemorySwapMax": 500,
        "MemoryLow": 10,
        "IOWeight": 10000,
        "CPUWeight": 100,
        "CPUQuotaPeriodUSec": 100000,
        "CPUQuotaPerSecUSec": 500000,
        "AllowedCPUs": b"\x03\x02",
        "AllowedMemoryNodes": b"\x01",
        "MemoryHigh": 5 << 20,
    }
    assert rest == [("io.max", "8:0 rbps=1"), ("cpu.max.burst", "1"), ("memory.oom.group", "1")]


def test_unified_wins_over_what_it_repeats() -> None:
    assert told(memory={"limit": 1000}, unified={"memory.max": "max"})[0] == {"MemoryMax": INFINITY}


def test_a_part_of_a_percent_is_rounded_up_as_systemd_keeps_whole_ones() -> None:
    assert told(cpu={"quota": 33333})[0]["CPUQuotaPerSecUSec"] == 340000
    assert told(cpu={"quota": -1, "period": 50000})[0] == {"CPUQuotaPeriodUSec": 50000, "CPUQuotaPerSecUSec": INFINITY}


def test_idle_is_told_to_a_systemd_that_knows_it() -> None:
    assert told(252, cpu={"idle": 1}) == ({"CPUWeight": 0}, [])
    assert told(251, cpu={"idle": 1}) == ({}, [("cpu.idle", "1")])


@pytest.mark.parametrize(
    ("text", "mask"), [("0", b"\x01"), ("0-3,7", b"\x8f"), ("8", b"\x00\x01"), (" 1 , 2 ", b"\x06")]
)
def test_lists_of_cpus_are_masks(text: str, mask: bytes) -> None:
    assert bits(text) == mask


@pytest.mark.parametrize("text", ["x", "3-1", "1-", "-1", "123456"])
def test_what_is_no_list_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpec, match=r"linux\.resources\.cpu"):
        bits(text)


def test_the_kernels_word_for_dying_together_is_told_to_a_systemd_that_knows_it() -> None:
    writes = limits.writes(resources(unified={"memory.oom.group": "1"}))
    assert oom_policy(writes, 253) == (("OOMPolicy", ("s", "kill")),)
    assert oom_policy(writes, 252) == ()
    assert oom_policy((), 253) == ()


def test_without_systemd_the_error_says_so(tmp_path: Path) -> None:
    address = f"unix:path={tmp_path}/bus"
    manager = Systemd(Unit.parse("", "id", user=True), user_bus=address)
    with pytest.raises(Unavailable, match=f"no systemd answers on the bus at {address}"):
        manager.adopt(os.getpid(), Resources())


def test_without_cgroups_a_limit_is_refused() -> None:
    usual = DeviceRule(allow=False, access="rwm")
    Disabled().check(Resources(devices=(usual,)))
    with pytest.raises(Unsupported, match=r"memory\.max cannot be set"):
        Disabled().check(resources(memory={"limit": 5}))
    with pytest.raises(Unsupported, match="devices"):
        Disabled().check(Resources(devices=(DeviceRule(allow=True, access="r"),)))


def test_an_update_changes_what_it_names_and_keeps_the_rest() -> None:
    old = resources(
        memory={"limit": 5, "swap": 9},
        cpu={"shares": 7, "cpus": "0"},
        blockIO={"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 1, "rate": 2}]},
        unified={"memory.high": "1", "memory.low": "2"},
        devices=[{"allow": False, "access": "rwm"}],
    )
    new = resources(
        memory={"limit": 6},
        cpu={"shares": 8},
        pids={"limit": 3},
        blockIO={"throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 3}, {"major": 8, "minor": 2, "rate": 4}]},
        unified={"memory.high": "3"},
    )
    assert merge(old, new) == resources(
        memory={"limit": 6, "swap": 9},
        cpu={"shares": 8, "cpus": "0"},
        pids={"limit": 3},
        blockIO={
            "throttleReadBpsDevice": [
                {"major": 8, "minor": 0, "rate": 1},
                {"major": 8, "minor": 1, "rate": 3},
                {"major": 8, "minor": 2, "rate": 4},
            ]
        },
        unified={"memory.high": "3", "memory.low": "2"},
        devices=[{"allow": False, "access": "rwm"}],
    )


def test_what_does_not_freeze_in_time_runs_on(tmp_path: Path) -> None:
    (tmp_path / "cgroup.freeze").write_text("0")
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    with pytest.raises(TimedOut, match=r"did not freeze within 0\.05 s"):
        freezer.pause(Cgroup(tmp_path), 0.05)
    assert (tmp_path / "cgroup.freeze").read_text() == "0"


def test_only_a_cgroup_with_a_freezer_freezes(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"cgroup\.freeze"):
        freezer.pause(Cgroup(tmp_path))
    with pytest.raises(NotFound):
        freezer.pause(Cgroup(tmp_path / "gone"))


def test_the_room_loads_no_threads_and_no_dbus_before_systemd_is_asked() -> None:
    script = """
import sys, aethel_run.cgroup.managers.manager, aethel_run.cgroup.events
print([name for name in ("jeepney", "asyncio", "threading", "subprocess", "grpc") if name in sys.modules])
import aethel_run.cgroup.managers.systemd
print([name for name in ("asyncio", "threading") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
