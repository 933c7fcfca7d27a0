"""`--explain`, `explain`, `--dry-run` and `--without`: what is told is what was done, and what is left out is marked."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.harness.daemon import Daemon

STEP = re.compile(r"^ *([DMI]\d+) (\w+) ")


def steps(text: str) -> list[str]:
    return [match[2] for match in map(STEP.match, text.splitlines()) if match and "-- not here" not in match.string]


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_is_told_on_stderr_and_its_output_stays_its_own(daemon: Daemon) -> None:
    done = daemon.aethel("run", "--rm", "--explain", "demo-alpine", "echo", "hello", "--explain")
    assert (done.code, done.out) == (0, "hello --explain\n")
    told = steps(done.err)
    for name in (
        "lease_address",
        "launch_monitor",
        "spawn",
        "wire_network",
        "open_root",
        "pivot_into_rootfs",
        "execute",
    ):
        assert told.count(name) == 1, name
    assert told.index("launch_monitor") < told.index("leave_mounts") < told.index("spawn") < told.index("become_root")
    assert told.index("spawn") < told.index("wire_network") < told.index("open_gate") < told.index("execute")
    assert told[-1] == "execute"
    assert re.search(r"clone3\(\{flags=CLONE_\S*NEWUSER", done.err)
    assert re.search(r'pivot_root\("\.", "\."\) = 0  \d+ µs', done.err)
    assert re.search(r"RTM_NEWLINK\(ifname=veth\w+, kind=veth", done.err)
    assert 'execve("/bin/echo", ["echo", "hello", "--explain"], /* ' in done.err


def test_the_story_for_programs(daemon: Daemon) -> None:
    done = daemon.aethel("run", "--rm", "--explain=json", "demo-alpine", "true")
    told = events(done.err)
    assert {event["event"] for event in told} == {"step", "call"}
    assert {event["step"][0] for event in told} == {"D", "M", "I"}
    assert all(event["at"] > 1e18 for event in told)
    assert told[-1]["name"] == "execve"
    assert all(event["took"] > 0 for event in told if event["event"] == "call" and event["result"] is not None)


def test_a_story_is_kept_for_later_and_made_anew_by_each_start(daemon: Daemon) -> None:
    made = daemon.aethel("run", "-d", "--explain", "--name", "told", "demo-alpine", "sleep", "60")
    assert made.code == 0, made.err
    try:
        assert made.out.strip() == daemon.inspect("told")["Id"]
        later = daemon.aethel("explain", "told")
        assert later.out == made.err
        told = events(daemon.aethel("explain", "--json", "told").out)
        # The text has together what belongs together; the events are in the order of their happening.
        assert [event["name"] for event in told if event["event"] == "step"] == steps(later.out)
        assert "(M7)" not in later.out
        path = daemon.state / "containers" / daemon.inspect("told")["Id"] / "story.jsonl"
        assert path.stat().st_mode & 0o777 == 0o600
        first = path.read_text()
        daemon.aethel("kill", "told")
        daemon.aethel("wait", "told")
        assert daemon.aethel("start", "told").code == 0
        assert path.read_text() != first
        # Sorted: daemon and monitor work at the same time.
        assert sorted(steps(daemon.aethel("explain", "told").out)) == sorted(steps(later.out))
    finally:
        daemon.aethel("rm", "-f", "told")


def test_a_container_without_a_story_says_so(daemon: Daemon) -> None:
    container = daemon.detached("sleep 60")
    try:
        done = daemon.aethel("explain", container)
        assert done.code == 1
        assert "has no story" in done.err
        assert not (daemon.state / "containers" / container / "story.jsonl").exists()
    finally:
        daemon.aethel("rm", "-f", container)


def test_a_start_that_fails_is_told_up_to_its_failure(daemon: Daemon) -> None:
    before = daemon.aethel("ps", "-aq").out
    done = daemon.aethel("run", "--rm", "--explain", "demo-alpine", "no-such-program")
    assert done.code == 127
    assert done.out == ""
    lines = done.err.splitlines()
    assert re.match(r" *I\d+ execute +FAILED: no-such-program: executable file not found", lines[-2])
    assert lines[-1].startswith("aethel: no-such-program: executable file not found")
    detached = daemon.aethel("run", "-d", "--explain", "demo-alpine", "no-such-program")
    assert detached.code == 127
    assert "execute" in steps(detached.err)
    assert daemon.aethel("ps", "-aq").out == before


def test_a_dry_run_tells_the_plan_and_does_nothing(daemon: Daemon) -> None:
    before = daemon.aethel("ps", "-aq").out
    done = daemon.aethel("run", "--dry-run", "demo-alpine", "true")
    assert done.code == 0, done.err
    assert "-- not here: only with process.terminal" in done.out
    assert daemon.aethel("ps", "-aq").out == before
    told = daemon.aethel("run", "--rm", "--explain", "demo-alpine", "true").err
    assert sorted(steps(done.out)) == sorted(steps(told))
    lonely = daemon.aethel("run", "--dry-run", "--network", "none", "demo-alpine", "true")
    assert "lease_address" not in steps(lonely.out)
    as_json = daemon.aethel("run", "--dry-run", "--explain=json", "demo-alpine", "true")
    assert {line["name"] for line in events(as_json.out)} >= {"lease_address", "mask_paths"}


@pytest.mark.parametrize(
    "options",
    [
        ("--pid", "container:donor", "--ipc", "container:donor", "--network", "container:donor"),
        ("--uts", "container:donor", "--cgroupns", "host"),
        ("--privileged", "--network", "host", "--pid", "host"),
        ("--device", "/dev/full:/dev/brim", "--tmpfs", "/scratch", "--sysctl", "net.ipv4.ip_forward=1"),
        ("--userns", "host", "--device", "/dev/full:/dev/brim", "--ulimit", "nofile=100", "--domainname", "example"),
        ("--userns", "auto:size=1000", "--security-opt", "seccomp=unconfined", "--cap-drop", "ALL"),
    ],
    ids=lambda options: " ".join(options),
)
def test_a_dry_run_tells_the_steps_that_the_start_then_takes(daemon: Daemon, options: tuple[str, ...]) -> None:
    daemon.aethel("run", "-d", "--name", "donor", "demo-alpine", "sleep", "60")
    try:
        planned = daemon.aethel("run", "--dry-run", *options, "demo-alpine", "true")
        assert planned.code == 0, planned.err
        done = daemon.aethel("run", "--rm", "--explain", *options, "demo-alpine", "true")
        assert done.code == 0, done.err
        assert sorted(steps(planned.out)) == sorted(steps(done.err))
    finally:
        daemon.aethel("rm", "-f", "donor")


def test_a_dry_run_refuses_what_a_run_refuses(daemon: Daemon) -> None:
    for options, words in (
        (("--without", "execute"), "nothing would run"),
        (("--device", "/dev/no-such-device"), "no such file"),
        (("--name", "-"), "name"),
        (("--pid", "container:nobody"), "no such container"),
        (("--privileged", "--userns", "private"), "privileged goes with"),
    ):
        done = daemon.aethel("run", "--dry-run", *options, "demo-alpine", "true")
        assert (done.code, done.out) == (125, ""), options
        assert words in done.err
        assert daemon.aethel("run", "--rm", *options, "demo-alpine", "true").err == done.err


def test_without_leaves_one_protection_out_and_says_so_everywhere(daemon: Daemon) -> None:
    script = "wc -c < /proc/timer_list; sleep 60"
    made = daemon.aethel("run", "-d", "--without", "mask_paths", "--explain", "demo-alpine", "sh", "-c", script)
    assert made.code == 0, made.err
    container = made.out.strip()
    try:
        assert "aethel: WARNING: the container runs WITHOUT mask_paths" in made.err
        assert re.search(r"^ *I\d+ mask_paths +LEFT OUT, as --without asked", made.err, re.MULTILINE)
        assert re.search(r"Up .* \(WITHOUT mask_paths\)", daemon.aethel("ps").out)
        assert daemon.inspect(container)["Without"] == ["mask_paths"]
        config = json.loads((daemon.run / "containers" / container / "config.json").read_text())
        assert config["annotations"]["org.aethelred.without"] == "mask_paths"
    finally:
        daemon.aethel("rm", "-f", container)


def test_what_would_endanger_the_host_cannot_be_left_out(daemon: Daemon) -> None:
    before = daemon.aethel("ps", "-aq").out
    for step, words in (("pivot_into_rootfs", "its root would be the host's"), ("nonsense", "no step is called")):
        done = daemon.aethel("run", "--rm", "--without", step, "demo-alpine", "true")
        assert done.code == 125
        assert words in done.err
    done = daemon.aethel("run", "--rm", "--userns", "host", "--without", "set_capabilities", "demo-alpine", "true")
    assert done.code == 125
    assert "only in a user namespace" in done.err
    assert daemon.aethel("ps", "-aq").out == before
