"""Each limit by what the kernel then does. Where cgroup2 has no such controllers, the second kernel runs these."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aethel_common.errors import InvalidArgument, WrongState
from aethel_run.cgroup import events, figures, freezer, stats
from aethel_run.cgroup.managers.cgroupfs import Cgroupfs
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_run.spec.resources import Resources
from tests.harness.cgroups import own_cgroup, python_in, running_in
from tests.harness.host import wait_until

pytestmark = pytest.mark.cgroup

MIB = 1 << 20
ALLOCATE = "kept = bytearray({} << 20); kept[::4096] = b'x' * len(kept[::4096])"
BUSY = "while :; do :; done"


def resources(**fields: Any) -> Resources:
    return msgspec.convert(fields, Resources)


@pytest.fixture
def manager() -> Iterator[Cgroupfs]:
    with own_cgroup() as parent:
        yield Cgroupfs(Cgroup(parent.path / "container"))


def usage(cgroup: Cgroup) -> int:
    found = stats.read(cgroup, stats.Part.CPU).cpu
    assert found is not None
    return found.usage


def cpu_share(cgroup: Cgroup, seconds: float) -> float:
    """Of one CPU, in the time to come."""
    before, start = usage(cgroup), time.monotonic()
    time.sleep(seconds)
    return (usage(cgroup) - before) / 1e6 / (time.monotonic() - start)


def test_memory_over_its_limit_is_killed_for(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(memory={"limit": 20 * MIB, "swap": 20 * MIB}))
    assert cgroup.read("memory.swap.max") in ("0\n", None)
    assert python_in(cgroup, ALLOCATE.format(100))[0] == -9
    assert cgroup.oom_killed()
    found = stats.read(cgroup).memory
    assert found is not None
    assert found.events["oom_kill"] == 1
    assert found.usage.limit == 20 * MIB


def test_memory_can_be_given_to_a_running_container(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(memory={"limit": 20 * MIB}))
    manager.update(cgroup, resources(memory={"limit": 300 * MIB}))
    assert python_in(cgroup, ALLOCATE.format(100)) == (0, "")
    assert not cgroup.oom_killed()


def test_a_limit_below_use_is_refused_when_that_is_asked_for(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources())
    manager.update(cgroup, resources(memory={"limit": 200 * MIB}))
    script = ALLOCATE.format(50) + "; import time; time.sleep(60)"
    with running_in(cgroup, sys.executable, "-I", "-S", "-c", script) as process:
        assert wait_until(lambda: int(cgroup.read("memory.current") or 0) > 50 * MIB)
        with pytest.raises(WrongState, match="bytes in use"):
            manager.update(cgroup, resources(memory={"limit": 30 * MIB, "checkBeforeUpdate": True}))
        assert cgroup.read("memory.max") == f"{200 * MIB}\n"
        assert process.poll() is None


def test_reservation_and_unified_reach_their_files(manager: Cgroupfs) -> None:
    cgroup = manager.make(
        resources(memory={"reservation": 5 * MIB}, unified={"memory.high": "30M", "memory.oom.group": "1"})
    )
    assert cgroup.read("memory.low") == f"{5 * MIB}\n"
    assert cgroup.read("memory.high") == f"{30 * MIB}\n"
    assert cgroup.read("memory.oom.group") == "1\n"


def test_an_out_of_memory_group_ends_together(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(memory={"limit": 30 * MIB, "swap": 30 * MIB}, unified={"memory.oom.group": "1"}))
    with running_in(cgroup, "sleep", "60") as bystander:
        assert python_in(cgroup, ALLOCATE.format(100))[0] == -9
        assert bystander.wait(5) == -9


def test_no_more_tasks_than_allowed(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(pids={"limit": 3}))
    script = """
import os, signal
children = []
try:
    while len(children) < 20:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except BlockingIOError:
    print(len(children))
for child in children:
    os.kill(child, signal.SIGKILL)
"""
    assert python_in(cgroup, script) == (0, "2\n")
    manager.update(cgroup, resources(pids={"limit": 6}))
    assert python_in(cgroup, script) == (0, "5\n")
    manager.update(cgroup, resources(pids={"limit": -1}))
    assert cgroup.read("pids.max") == "max\n"


def test_half_a_cpu_is_half_a_cpu(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(cpu={"quota": 50_000, "period": 100_000}))
    with running_in(cgroup, "sh", "-c", BUSY):
        assert cpu_share(cgroup, 2) == pytest.approx(0.5, rel=0.1)
        manager.update(cgroup, resources(cpu={"quota": 20_000}))
        assert cgroup.read("cpu.max") == "20000 100000\n"
        assert cpu_share(cgroup, 2) == pytest.approx(0.2, rel=0.15)
        manager.update(cgroup, resources(cpu={"period": 50_000}))
        assert cgroup.read("cpu.max") == "20000 50000\n"
    found = stats.read(cgroup).cpu
    assert found is not None
    assert (found.throttled_periods or 0) > 10


def test_burst_and_quota_change_in_an_order_the_kernel_takes(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(cpu={"quota": 50_000, "burst": 40_000}))
    manager.update(cgroup, resources(cpu={"quota": 90_000, "burst": 80_000}))
    assert (cgroup.read("cpu.max"), cgroup.read("cpu.max.burst")) == ("90000 100000\n", "80000\n")
    manager.update(cgroup, resources(cpu={"quota": 20_000, "burst": 10_000}))
    assert (cgroup.read("cpu.max"), cgroup.read("cpu.max.burst")) == ("20000 100000\n", "10000\n")


def test_weights(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(cpu={"shares": 2048}))
    assert cgroup.read("cpu.weight") == "174\n"
    manager.update(cgroup, resources(cpu={"idle": 1}))
    assert cgroup.read("cpu.idle") == "1\n"
    manager.update(cgroup, resources(cpu={"idle": 0, "shares": 1024}))
    assert (cgroup.read("cpu.idle"), cgroup.read("cpu.weight")) == ("0\n", "100\n")


def test_two_weights_share_one_cpu_by_them(manager: Cgroupfs) -> None:
    if os.cpu_count() != 1:
        pytest.skip("needs a kernel with one CPU: they would not compete")
    heavy = manager.make(resources(cpu={"shares": 262144 // 8}))
    other = Cgroupfs(Cgroup(heavy.path.parent / "light"))
    light = other.make(resources(cpu={"shares": 1024}))
    with running_in(heavy, "sh", "-c", BUSY), running_in(light, "sh", "-c", BUSY):
        before = usage(heavy), usage(light)
        time.sleep(2)
        ratio = (usage(heavy) - before[0]) / (usage(light) - before[1])
    weights = int(heavy.read("cpu.weight") or 0) / int(light.read("cpu.weight") or 1)
    assert ratio == pytest.approx(weights, rel=0.25)


@pytest.fixture
def disk() -> Iterator[tuple[Path, str]]:
    """A directory on a block device, and that device's numbers."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("AETHEL_TEST_ROOT")) as directory:
        number = os.stat(directory).st_dev
        if os.major(number) == 0:
            pytest.skip("no block device is under the directory for tests")
        yield Path(directory), f"{os.major(number)}:{os.minor(number)}"


WRITE = """
import os, mmap, time
fd = os.open({path!r}, os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
page = mmap.mmap(-1, 1 << 18)
start = time.monotonic()
for _ in range(8):
    os.write(fd, page)
print(time.monotonic() - start)
"""


def test_writing_is_throttled(manager: Cgroupfs, disk: tuple[Path, str]) -> None:
    directory, device = disk
    major, minor = map(int, device.split(":"))
    script = WRITE.format(path=str(directory / "file"))
    cgroup = manager.make(resources())
    limit = {"major": major, "minor": minor, "rate": MIB}
    manager.update(cgroup, resources(blockIO={"throttleWriteBpsDevice": [limit]}))
    assert cgroup.read("io.max") == f"{device} rbps=max wbps={MIB} riops=max wiops=max\n"
    code, output = python_in(cgroup, script)
    assert code == 0
    assert float(output) > 1.5  # 2 MiB at 1 MiB/s
    found = stats.read(cgroup).io
    assert found is not None
    assert (
        next(each for each in found.devices if (each.major, each.minor) == (major, minor)).values["wbytes"] >= 2 * MIB
    )
    manager.update(cgroup, resources(blockIO={"throttleWriteBpsDevice": [limit | {"rate": 0}]}))
    assert cgroup.read("io.max") == ""
    assert float(python_in(cgroup, script)[1]) < 0.5


def test_a_device_that_is_not_there_is_refused_and_nothing_is_left(manager: Cgroupfs) -> None:
    nowhere = {"major": 4000, "minor": 1, "rate": MIB}
    with pytest.raises(InvalidArgument, match=r"io\.max: the kernel refuses '4000:1 rbps=1048576'"):
        manager.make(resources(blockIO={"throttleReadBpsDevice": [nowhere]}))
    assert not manager.cgroup.path.exists()


def test_the_block_weight_finds_its_file_or_the_error_says_which(manager: Cgroupfs) -> None:
    with own_cgroup() as probe:
        probe.make(["io"])
        files = [name for name in ("io.bfq.weight", "io.weight") if (probe.path / name).exists()]
    if files:
        cgroup = manager.make(resources(blockIO={"weight": 500}))
        assert "500" in (cgroup.read(files[0]) or "") or "4950" in (cgroup.read(files[0]) or "")
    else:
        with pytest.raises(Exception, match=r"this kernel's io controller has no io\.weight"):
            manager.make(resources(blockIO={"weight": 500}))
        assert not manager.cgroup.path.exists()


def test_a_container_is_pinned_to_its_cpus(manager: Cgroupfs) -> None:
    if "cpuset" not in (mount_point() / "cgroup.controllers").read_text().split():
        with pytest.raises(Exception, match="cpuset is not a controller of the cgroup2 tree"):
            manager.make(resources(cpu={"cpus": "0"}))
        return
    cgroup = manager.make(resources(cpu={"cpus": "0", "mems": "0"}))
    assert python_in(cgroup, "import os; print(os.sched_getaffinity(0))") == (0, "{0}\n")


def test_only_what_is_limited_is_enabled(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(pids={"limit": 5}))
    assert cgroup.read("cgroup.controllers") == "pids\n"
    accounting = Cgroupfs(cgroup, accounting=frozenset({"memory", "cpuset", "io"}))
    accounting.make(resources())
    assert {"pids", "memory", "io"} <= set((cgroup.read("cgroup.controllers") or "").split())


def test_all_figures_are_there_and_reach_the_event(manager: Cgroupfs) -> None:
    everything = resources(memory={"limit": 100 * MIB}, pids={"limit": 50}, cpu={"quota": 90_000})
    cgroup = manager.make(everything)
    with running_in(cgroup, "sleep", "60"):
        found = stats.read(cgroup)
        assert found.memory is not None
        assert found.pids == figures.Pids(current=1, limit=50)
        assert 0 < found.memory.without_cache <= found.memory.usage.current < 100 * MIB
        data = json.loads(events.stats_line("x", found))["data"]
    assert data["memory"]["usage"]["limit"] == 100 * MIB
    assert data["pids"] == {"current": 1, "limit": 50}
    assert data["cpu"]["usage"]["total"] > 0


def test_a_frozen_container_uses_no_cpu(manager: Cgroupfs) -> None:
    cgroup = manager.make(resources(cpu={"quota": 90_000}))
    with running_in(cgroup, "sh", "-c", BUSY):
        freezer.pause(cgroup)
        before = usage(cgroup)
        time.sleep(0.3)
        assert usage(cgroup) == before
        freezer.resume(cgroup)
        assert wait_until(lambda: usage(cgroup) > before)
