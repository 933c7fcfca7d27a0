"""Cgroups of this kernel: made, entered, frozen, killed, removed, and asked about devices."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aethel_common.errors import InUse, InvalidArgument, Unsupported, WrongState
from aethel_common.linux import bpf
from aethel_run.cgroup import devices, freezer, limits, stats
from aethel_run.cgroup.managers.cgroupfs import Cgroupfs
from aethel_run.cgroup.managers.manager import Kind, choose
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_run.spec.resources import DeviceRule, DeviceType, HugepageLimit, Memory, Resources
from tests.harness import host
from tests.harness.cgroups import domain_controller, own_cgroup, python_in, run_in, running_in

DENY_ALL = DeviceRule(allow=False, access="rwm")


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """Made, and without any controller."""
    with own_cgroup() as made:
        made.make(())
        yield made


@contextmanager
def descriptor(cgroup: Cgroup) -> Iterator[int]:
    fd = cgroup.open()
    try:
        yield fd
    finally:
        os.close(fd)


def cpu_time(cgroup: Cgroup) -> int:
    found = stats.read(cgroup, stats.Part.CPU).cpu
    assert found is not None
    return found.usage


def test_what_is_frozen_stands_still_and_then_goes_on(cgroup: Cgroup) -> None:
    with running_in(cgroup, "sh", "-c", "while :; do :; done"):
        assert host.wait_until(lambda: cpu_time(cgroup) > 20_000)
        freezer.pause(cgroup)
        assert freezer.is_frozen(cgroup)
        before = cpu_time(cgroup)
        time.sleep(0.2)
        assert cpu_time(cgroup) == before
        freezer.resume(cgroup)
        assert not freezer.is_frozen(cgroup)
        assert host.wait_until(lambda: cpu_time(cgroup) > before + 20_000)


def test_a_frozen_cgroup_can_be_killed(cgroup: Cgroup) -> None:
    with running_in(cgroup, "sleep", "60") as process:
        freezer.pause(cgroup)
        cgroup.kill()
        assert process.wait(5) == -signal.SIGKILL


def test_resume_below_a_frozen_cgroup_says_that_it_is_not_enough(cgroup: Cgroup) -> None:
    inner = Cgroup(cgroup.path / "inner")
    inner.make(())
    freezer.pause(cgroup)
    with pytest.raises(Exception, match="a cgroup above it is frozen"):
        freezer.resume(inner, 0.05)
    freezer.resume(cgroup)


@pytest.mark.parametrize("way", ["kill", "kill_each"])
def test_kill_ends_all_below_even_what_forks_meanwhile(cgroup: Cgroup, way: str) -> None:
    inner = Cgroup(cgroup.path / "a/b")
    inner.make(())
    script = "while :; do sleep 60 & wait -n 2>/dev/null & sleep 0.01; done"
    with running_in(inner, "sh", "-c", script) as process, running_in(cgroup, "sleep", "60") as other:
        assert host.wait_until(lambda: len(cgroup.pids(recursive=True)) > 5)
        assert cgroup.pids() == [other.pid]
        getattr(cgroup, way)()
        assert cgroup.wait_empty(5)
        assert (process.wait(5), other.wait(5)) == (-signal.SIGKILL, -signal.SIGKILL)
    assert cgroup.pids(recursive=True) == []
    assert cgroup.read("cgroup.freeze") == "0\n"


def test_what_a_container_nested_is_removed_with_it(cgroup: Cgroup) -> None:
    for name in ("a", "b/c", "b/d/e"):
        Cgroup(cgroup.path / name).make(())
    cgroup.remove()
    assert not cgroup.path.exists()
    cgroup.remove()


def test_a_nest_deeper_than_a_path_is_removed(cgroup: Cgroup) -> None:
    fd = cgroup.open()
    name = "x" * 200
    for _ in range(30):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    cgroup.remove()
    assert not cgroup.path.exists()


def test_a_cgroup_with_processes_is_not_removed_and_they_are_named(cgroup: Cgroup) -> None:
    inner = Cgroup(cgroup.path / "inner")
    inner.make(())
    with (
        running_in(inner, "sleep", "60") as process,
        pytest.raises(InUse, match=rf"not empty: processes {process.pid}"),
    ):
        cgroup.remove()


def test_only_the_controllers_asked_for_are_enabled_and_only_on_the_way(cgroup: Cgroup) -> None:
    controller = domain_controller()
    aside, leaf = Cgroup(cgroup.path / "aside"), Cgroup(cgroup.path / "way/leaf")
    aside.make(())
    assert leaf.make([controller]) == (cgroup.path / "way", leaf.path)
    assert leaf.read("cgroup.controllers") == f"{controller}\n"
    assert leaf.read("cgroup.subtree_control") == ""
    assert Cgroup(cgroup.path / "way").read("cgroup.subtree_control") == f"{controller}\n"
    assert aside.read("cgroup.subtree_control") == ""
    assert leaf.make([controller]) == ()


def test_a_controller_that_nobody_has_leaves_nothing(cgroup: Cgroup) -> None:
    with pytest.raises(Unsupported, match="nonsense: not a controller of the cgroup2 tree"):
        Cgroup(cgroup.path / "a/b").make(["nonsense"])
    assert not (cgroup.path / "a").exists()


@pytest.mark.parametrize("controller", ["domain", "pids"])
def test_processes_in_the_way_are_named_before_anything_is_made(cgroup: Cgroup, controller: str) -> None:
    wanted = domain_controller() if controller == "domain" else controller
    if wanted not in (mount_point() / "cgroup.controllers").read_text().split():
        pytest.skip(f"{wanted} is not in cgroup2 here")
    cgroup.make([wanted])
    with running_in(cgroup, "sleep", "60") as process, pytest.raises(WrongState) as refused:
        Cgroup(cgroup.path / "a/b").make([wanted])
    assert f"{cgroup.path} holds processes ({process.pid})" in str(refused.value)
    assert not (cgroup.path / "a").exists()


def test_below_a_threaded_cgroup_ours_is_threaded_too(cgroup: Cgroup) -> None:
    threaded = Cgroup(cgroup.path / "threaded")
    threaded.make(())
    threaded.write("cgroup.type", "threaded")
    leaf = Cgroup(threaded.path / "leaf")
    leaf.make(())
    assert leaf.read("cgroup.type") == "threaded\n"
    with running_in(cgroup, "sleep", "60") as process:
        leaf.write("cgroup.threads", str(process.pid))
        assert leaf.pids() == [process.pid]
        assert process.pid in cgroup.pids(recursive=True)
    with pytest.raises(Unsupported, match="threaded"):
        Cgroup(threaded.path / "other").make([domain_controller()])
    assert not (threaded.path / "other").exists()


def test_a_user_is_given_the_files_that_the_kernel_lists_and_no_limit(cgroup: Cgroup) -> None:
    leaf = Cgroup(cgroup.path / "leaf")
    leaf.make([domain_controller()])
    leaf.give_to(12345, 12346)
    owned = {path.name for path in leaf.path.iterdir() if path.stat().st_uid == 12345}
    assert leaf.path.stat().st_gid == 12346
    assert {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} <= owned
    assert owned <= set(Path("/sys/kernel/cgroup/delegate").read_text().split())
    assert not any(name.endswith(".max") for name in owned)


def test_a_device_that_is_not_allowed_cannot_be_opened(cgroup: Cgroup) -> None:
    node = f"/dev/aethel-test-{secrets.token_hex(4)}"
    os.mknod(node, 0o20666, os.makedev(1, 5))  # /dev/zero, by another name
    try:
        devices.attach(cgroup, [DENY_ALL])
        code, output = python_in(cgroup, f"open({node!r}, 'rb').close(); open('/dev/kmsg', 'rb')")
        assert code == 1
        assert "PermissionError: [Errno 1] Operation not permitted: '/dev/kmsg'" in output
        assert python_in(cgroup, "open('/dev/null', 'r+b'); open('/dev/urandom', 'rb')") == (0, "")
    finally:
        os.unlink(node)


def test_reading_and_writing_are_told_apart_and_rules_can_be_changed(cgroup: Cgroup) -> None:
    kmsg = DeviceRule(allow=True, type=DeviceType.CHARACTER, major=1, minor=11, access="r")
    devices.attach(cgroup, [DENY_ALL, kmsg])
    assert python_in(cgroup, "open('/dev/kmsg', 'rb')") == (0, "")
    assert python_in(cgroup, "open('/dev/kmsg', 'r+b')")[0] == 1
    devices.attach(cgroup, [DENY_ALL])
    assert python_in(cgroup, "open('/dev/kmsg', 'rb')")[0] == 1
    with descriptor(cgroup) as fd:
        assert len(bpf.attached_device_programs(fd)) == 1


def test_a_nested_cgroup_cannot_allow_itself_more(cgroup: Cgroup) -> None:
    devices.attach(cgroup, [DENY_ALL])
    inner = Cgroup(cgroup.path / "inner")
    inner.make(())
    devices.attach(inner, [DeviceRule(allow=True, access="rwm")])
    assert python_in(inner, "open('/dev/kmsg', 'rb')")[0] == 1


def test_several_programs_become_one(cgroup: Cgroup) -> None:
    code = devices.program(devices.parse([DENY_ALL, DeviceRule(allow=True, type=DeviceType.CHARACTER, access="rw")]))
    with descriptor(cgroup) as fd:
        for _ in range(2):
            program = bpf.load_device_program(code, "test")
            bpf.attach_device_program(fd, program, bpf.Attach.ALLOW_MULTI)
            os.close(program)
        assert len(bpf.attached_device_programs(fd)) == 2
        devices.attach(cgroup, [DENY_ALL])
        assert len(bpf.attached_device_programs(fd)) == 1


def test_a_program_that_the_kernel_refuses_comes_with_its_log() -> None:
    with pytest.raises(OSError, match=r"bpf\(2\)") as refused:
        bpf.load_device_program(b"\x95" + b"\0" * 7, "bad")  # exit, with no answer in r0
    assert any("R0 !read_ok" in note for note in refused.value.__notes__)


def test_a_thousand_rules_load(cgroup: Cgroup) -> None:
    rules = [DeviceRule(allow=True, type=DeviceType.BLOCK, major=300 + n, minor=n, access="r") for n in range(1000)]
    devices.attach(cgroup, [DENY_ALL, *rules])
    assert python_in(cgroup, "open('/dev/kmsg', 'rb')")[0] == 1


def test_figures_of_what_this_kernel_has(cgroup: Cgroup) -> None:
    assert run_in(cgroup, "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")[0] == 0
    found = stats.read(cgroup)
    assert found.cpu is not None
    assert found.cpu.usage >= found.cpu.user > 0
    assert (found.memory is not None) == (cgroup.path / "memory.current").exists()
    assert (found.pids is not None) == (cgroup.path / "pids.current").exists()
    assert (found.cpu.pressure is not None) == (cgroup.path / "cpu.pressure").exists()


def test_the_manager_makes_limits_and_removes(cgroup: Cgroup) -> None:
    manager = choose(Kind.CGROUPFS, f"/{cgroup.path.relative_to(mount_point())}/pod/container", "id")
    made = manager.make(Resources(unified={"cgroup.max.depth": "3"}, devices=(DENY_ALL,)))
    assert made is not None
    assert made.read("cgroup.max.depth") == "3\n"
    manager.update(made, Resources(unified={"cgroup.max.depth": "4"}))
    assert made.read("cgroup.max.depth") == "4\n"
    with running_in(cgroup, "sleep", "60") as process:
        manager.join(made, process.pid)
        assert python_in(made, "open('/dev/kmsg', 'rb')")[0] == 1
        with pytest.raises(WrongState, match=rf"has processes already \({process.pid}\)"):
            manager.make(Resources())
    assert host.wait_until(lambda: not made.is_populated())
    freezer.pause(made)
    with pytest.raises(WrongState, match="frozen"):
        manager.make(Resources())
    freezer.resume(made)
    manager.remove(made)
    assert not made.path.exists()


def test_a_limit_that_the_kernel_refuses_leaves_nothing(cgroup: Cgroup) -> None:
    manager = Cgroupfs(Cgroup(cgroup.path / "pod/container"))
    with pytest.raises(InvalidArgument, match=r"cgroup\.max\.depth: the kernel refuses 'deep'"):
        manager.make(Resources(unified={"cgroup.max.depth": "deep"}))
    assert not (cgroup.path / "pod").exists()
    with pytest.raises(Unsupported, match=r"cgroup\.nonsense"):
        manager.make(Resources(unified={"cgroup.nonsense": "1"}))
    assert not (cgroup.path / "pod").exists()


def test_a_limit_whose_controller_is_elsewhere_is_refused_before_anything_is_made(cgroup: Cgroup) -> None:
    root = mount_point()
    if "memory" in (root / "cgroup.controllers").read_text().split():
        pytest.skip("memory is in cgroup2 here")
    manager = Cgroupfs(Cgroup(cgroup.path / "pod/container"))
    with pytest.raises(Unsupported) as refused:
        manager.make(Resources(memory=Memory(limit=1 << 30)))
    assert f"memory is not a controller of the cgroup2 tree at {root}; it is on a v1 hierarchy" in str(refused.value)
    assert "memory.max cannot be set" in str(refused.value)
    assert not (cgroup.path / "pod").exists()
    with pytest.raises(Unsupported, match="memory is not a controller of"):
        limits.apply(cgroup, Resources(memory=Memory(limit=1 << 30)))


def test_huge_pages_are_limited(cgroup: Cgroup) -> None:
    if "hugetlb" not in (mount_point() / "cgroup.controllers").read_text().split():
        pytest.skip("hugetlb is not in cgroup2 here")
    manager = Cgroupfs(Cgroup(cgroup.path / "container"))
    made = manager.make(Resources(hugepage_limits=(HugepageLimit(page_size="2MB", limit=4 << 20),)))
    assert made.read("hugetlb.2MB.max") == f"{4 << 20}\n"
    assert made.read("hugetlb.2MB.rsvd.max") == f"{4 << 20}\n"
    assert stats.read(made).hugetlb["2MB"].limit == 4 << 20
