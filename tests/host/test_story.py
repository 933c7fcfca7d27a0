"""A story is true: it tells every step that was done, once, in order, with the calls that did it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from aethel_common.errors import InvalidArgument, StepFailed
from aethel_common.linux.trace import trace
from aethel_run import story
from aethel_run.init import protections
from aethel_run.lifecycle import plan
from aethel_run.lifecycle.create import CreateOptions, create
from aethel_run.lifecycle.rootfs import open_directory
from aethel_run.spec.config import Spec
from aethel_run.story import AnyEvent, Call, Failed, Omitted, Step, Teller
from tests.harness.bundle import Bundle


def told(bundle: Bundle, spec: Spec, without: frozenset[str] = frozenset()) -> list[AnyEvent]:
    """The story of a run, or of the attempt."""
    path = bundle.path / "story.jsonl"
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    options = CreateOptions(
        open_rootfs=open_directory(str(bundle.rootfs)),
        bundle=str(bundle.path),
        stdio=(null, null, null),
        without=without,
    )
    try:
        with story.listening(Teller(fd, "json", story.encode, plan.places(plan.RUNTIME))):
            container = create(spec, options)
            try:
                container.start()
            finally:
                container.abandon()
    except StepFailed:
        pass  # its story is what is wanted
    finally:
        os.close(fd)
        os.close(null)
    return [story.decode(line) for line in path.read_bytes().splitlines()]


def steps(events: list[AnyEvent]) -> list[str]:
    return [event.name for event in events if isinstance(event, Step)]


def planned(spec: Spec) -> list[str]:
    """Without the cgroup, which these tests do not make."""
    return [line.name for line in plan.lines(plan.RUNTIME, spec) if line.applies and line.name != "make_cgroup"]


@pytest.mark.parametrize("users", [False, True])
@pytest.mark.parametrize("changes", [{}, {"process.noNewPrivileges": True, "root.readonly": True, "domainname": "d"}])
def test_each_step_of_the_plan_is_told_once_and_in_order(bundle: Bundle, users: bool, changes: dict[str, Any]) -> None:
    spec = bundle.spec("true", changes, users=users)
    events = told(bundle, spec)
    assert steps(events) == planned(spec)
    assert not [event for event in events if isinstance(event, Failed | Omitted)]
    places = plan.places(plan.RUNTIME)
    assert all(event.step == places[event.name] for event in events if isinstance(event, Step))
    assert [event.at for event in events if isinstance(event, Step)] == sorted(
        event.at for event in events if isinstance(event, Step)
    )


def test_each_call_belongs_to_its_step(bundle: Bundle) -> None:
    events = told(bundle, bundle.spec("true", users=True))
    places = plan.places(plan.RUNTIME)

    def calls_of(step: str) -> list[Call]:
        return [event for event in events if isinstance(event, Call) and event.step == places[step]]

    [clone] = [call for call in calls_of("spawn") if call.name == "clone3"]
    assert "CLONE_NEWUSER" in clone.arguments[0]
    assert clone.result is not None
    assert clone.result > 0
    assert [call.name for call in calls_of("write_maps")] == ["openat", "write", "openat", "write"]
    assert calls_of("write_maps")[1].arguments[:2] == (
        f"{calls_of('write_maps')[0].result}</proc/{clone.result}/gid_map>",
        '"0 300000 65536\\n"',
    )
    assert [call.name for call in calls_of("pivot_into_rootfs")] == ["fchdir", "pivot_root"]
    assert [call.name for call in calls_of("become_root")] == ["setgroups", "setresgid", "setresuid"]
    assert {"rt_sigaction", "rt_sigprocmask"} == {call.name for call in calls_of("reset_signals")}
    [execve] = calls_of("execute")
    assert execve.result is None
    assert execve.arguments[1] == '["/bin/sh", "-c", "true"]'
    assert events[-1] is execve
    assert all(call.took > 0 for call in events if isinstance(call, Call) and call.result is not None)


def test_a_story_ends_with_the_step_that_failed(bundle: Bundle) -> None:
    spec = bundle.spec("true", {"linux.sysctl": {"net.ipv4.no_such_thing": "1"}})
    events = told(bundle, spec)
    call, failed = events[-2:]
    assert isinstance(failed, Failed)
    assert (failed.name, failed.errno) == ("write_sysctls", errno.ENOENT)
    assert isinstance(call, Call)
    assert (call.name, call.errno) == ("openat2", "ENOENT")
    assert steps(events) == planned(spec)[: planned(spec).index("write_sysctls") + 1]


def test_without_leaves_out_exactly_that_step(bundle: Bundle) -> None:
    spec = bundle.spec("true", users=True)
    events = told(bundle, spec, frozenset({"mask_paths", "make_paths_read_only"}))
    assert steps(events) == [name for name in planned(spec) if name not in ("mask_paths", "make_paths_read_only")]
    assert [event.name for event in events if isinstance(event, Omitted)] == ["mask_paths", "make_paths_read_only"]


@pytest.mark.parametrize(
    ("name", "script", "protected", "open_"),
    [
        ("mask_paths", "wc -c < /proc/timer_list", "0", None),
        ("make_paths_read_only", "grep -c ' /proc/sys ' /proc/self/mountinfo", "1", "0"),
        ("set_no_new_privs", "grep NoNewPrivs /proc/self/status | tr -dc 01", "1", "0"),
        ("make_root_read_only", "touch /new 2>&1 | grep -c Read-only", "1", "0"),
        ("drop_bounding_set", "grep CapBnd /proc/self/status | cut -f2", "00000000a80425fb", None),
        ("set_capabilities", "grep CapEff /proc/self/status | cut -f2", "0000000000000001", "00000000a80425fb"),
    ],
)
def test_what_is_left_out_is_missed(bundle: Bundle, name: str, script: str, protected: str, open_: str | None) -> None:
    changes: dict[str, Any] = {"process.noNewPrivileges": True, "root.readonly": True}
    if name == "set_capabilities":
        changes |= {f"process.capabilities.{kind}": ["CAP_CHOWN"] for kind in ("effective", "permitted")}
    kept = bundle.run(script, changes, users=True).out.strip()
    lost = bundle.run(script, changes, users=True, without=(name,)).out.strip()
    assert kept == protected
    assert lost != protected
    assert open_ in (None, lost)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pivot_into_rootfs", "host's"),
        ("detach_old_root", "host's files"),
        ("make_mounts_slave", "mounted on the host"),
        ("close_descriptors", "CVE-2024-21626"),
        ("become_root", "belong to nobody"),
        ("set_ids", "run as root"),
        ("link_devices", "no protection"),
        ("nonsense", "no step is called"),
    ],
)
def test_what_endangers_the_host_is_refused_by_name_and_reason(bundle: Bundle, name: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words) as refused:
        protections.check([name], bundle.spec("true", users=True))
    assert name in refused.value.message


def test_capabilities_stay_where_root_is_the_host_s(bundle: Bundle) -> None:
    for name in protections.IN_A_USER_NAMESPACE:
        with pytest.raises(InvalidArgument, match=f"{name} can be left out only in a user namespace"):
            protections.check([name], bundle.spec("true"))
        protections.check([name], bundle.spec("true", users=True))
    for name in protections.ANYWHERE:
        protections.check([name], bundle.spec("true"))


def test_what_is_not_done_anyway_cannot_be_left_out(bundle: Bundle) -> None:
    with pytest.raises(InvalidArgument, match="set_no_new_privs is not done for this container anyway"):
        plan.check_without(["set_no_new_privs"], bundle.spec("true"))
    plan.check_without(["set_no_new_privs"], bundle.spec("true", {"process.noNewPrivileges": True}))


def test_a_filter_finds_its_privilege_when_new_ones_may_be_gained(bundle: Bundle) -> None:
    """The kernel takes a filter from who cannot gain privileges, or has CAP_SYS_ADMIN."""
    changes = {"process.noNewPrivileges": True, "linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}}
    spec = bundle.spec("true", changes)
    events = told(bundle, spec, frozenset({"set_no_new_privs"}))
    assert "load_filter_by_privilege" in steps(events)
    assert "load_filter" not in steps(events)
    assert not [event for event in events if isinstance(event, Failed)]


def test_a_listener_that_went_away_does_not_stop_the_work(bundle: Bundle) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    options = CreateOptions(open_rootfs=open_directory(str(bundle.rootfs)), stdio=(null, null, null))
    try:
        with story.listening(Teller(writer, "json", story.encode, plan.places(plan.RUNTIME))):
            container = create(bundle.spec("exit 7"), options)
            container.start()
            result = os.waitid(os.P_PIDFD, container.pidfd, os.WEXITED | os.WNOWAIT)
            container.abandon()
    finally:
        os.close(writer)
        os.close(null)
    assert result is not None
    assert (result.si_code, result.si_status) == (os.CLD_EXITED, 7)


def test_afterwards_nobody_listens(bundle: Bundle) -> None:
    told(bundle, bundle.spec("true"))
    assert trace.sink is None
    assert story.telling() is None


def test_nothing_of_the_story_is_left_open_in_the_container(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fd = os.open(out, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    tale = os.open(tmp_path / "story", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    options = CreateOptions(open_rootfs=open_directory(str(bundle.rootfs)), stdio=(null, fd, null))
    with story.listening(Teller(tale, "json", story.encode, plan.places(plan.RUNTIME))):
        container = create(bundle.spec("ls /proc/self/fd"), options)
        container.start()
        os.waitid(os.P_PIDFD, container.pidfd, os.WEXITED | os.WNOWAIT)
        container.abandon()
    # The fourth is ls's own look at the directory.
    assert out.read_text().split() == ["0", "1", "2", "3"]
    for each in (fd, null, tale):
        os.close(each)
