"""ps, logs, stop, kill, rm, wait, inspect, info; names and prefixes; bad input."""

from __future__ import annotations

import json
import os
import subprocess
import time

from aethel_run.cgroup.tree import mount_point
from tests.harness import host
from tests.harness.daemon import BIN, Daemon


def test_a_background_container_is_seen_followed_stopped_and_removed(daemon: Daemon) -> None:
    name = "clock"
    container_id = daemon.detached(
        "n=0; while [ $n -lt 3 ]; do n=$((n+1)); echo tick $n; sleep 0.1; done", "--name", name
    )
    assert len(container_id) == 64
    followed = daemon.aethel("logs", "-f", name)
    assert followed.out == "tick 1\ntick 2\ntick 3\n"
    assert daemon.aethel("wait", name).out == "0\n"
    assert container_id[:12] not in daemon.aethel("ps", "-q").out
    assert "Exited (0)" in daemon.aethel("ps", "-a").out
    assert daemon.aethel("logs", "--tail", "1", name).out == "tick 3\n"
    assert daemon.aethel("rm", name).out == f"{name}\n"
    assert daemon.aethel("inspect", name).code == 1


def test_stop_is_polite_first_and_then_is_not(daemon: Daemon) -> None:
    polite = daemon.detached("trap 'exit 5' TERM; while :; do sleep 0.05; done")
    time.sleep(0.3)
    assert daemon.aethel("stop", polite).code == 0
    assert daemon.aethel("wait", polite).out == "5\n"
    deaf = daemon.detached("trap '' TERM; while :; do sleep 0.05; done")
    before = time.monotonic()
    assert daemon.aethel("stop", "-t", "1", deaf).code == 0
    assert 1 <= time.monotonic() - before < 9  # nor ten seconds, which it takes unless told
    assert daemon.aethel("wait", deaf).out == "137\n"
    assert daemon.aethel("stop", deaf).code == 0  # stopping what has stopped is no error
    assert daemon.aethel("start", polite).code == 0
    assert daemon.inspect(polite)["State"]["Running"]
    assert daemon.aethel("rm", polite).code == 1
    assert daemon.aethel("rm", "-f", polite, deaf).code == 0


def test_what_was_written_stays_across_a_stop(daemon: Daemon) -> None:
    name = daemon.detached("cat /kept 2>/dev/null; echo again >> /kept", "--name", "keeper")
    daemon.aethel("wait", name)
    daemon.aethel("start", name)
    daemon.aethel("wait", name)
    assert daemon.aethel("logs", name).out == "again\n"
    daemon.aethel("rm", name)


def test_binary_output_is_logged_byte_for_byte(daemon: Daemon) -> None:
    name = daemon.detached(r"printf 'a\000b\377\n\n'; printf 'no end'")
    daemon.aethel("wait", name)
    done = subprocess.run([str(BIN / "aethel"), "logs", name], capture_output=True, env=daemon.environment, check=True)
    assert done.stdout == b"a\0b\xff\n\nno end"
    daemon.aethel("rm", name)


def test_ids_and_prefixes(daemon: Daemon) -> None:
    one = daemon.aethel("create", "--name", "one", "demo-alpine").out.strip()
    assert daemon.inspect(one[:5])["Id"] == daemon.inspect("one")["Id"] == one
    assert daemon.aethel("rm", one[:8]).code == 0


def test_info_and_version(daemon: Daemon) -> None:
    info = daemon.info()
    wanted = {
        "DaemonPid": daemon.pid,
        "StateRoot": str(daemon.state),
        "RunRoot": str(daemon.run),
        "CacheRoot": str(daemon.cache),
        "Socket": str(daemon.socket),
        "CgroupRoot": str(mount_point() / daemon.cgroup),
        "KernelVersion": os.uname().release,
        "Bridge": daemon.bridge,
        "Subnet": daemon.subnet,
    }
    assert wanted.items() <= info.items()
    features = {each["Name"]: each for each in info["Features"]}
    assert set(features) >= {"cgroup2", "overlay", "tmpfs", "mqueue", "user-namespaces", "nftables-nat"}
    assert features["cgroup2"]["Detail"].startswith(str(mount_point()))
    missing = [name for name, each in features.items() if not each["Available"]]
    assert [warning.partition(":")[0] for warning in info["Warnings"]] == missing
    text = daemon.aethel("info")
    for name, value in wanted.items():
        assert f"\n{name}: {value}\n" in f"\n{text.out}"
    for name, each in features.items():
        assert f"\n  {name}: {'yes' if each['Available'] else 'NO'}" in text.out
    assert text.err.count("warning: ") == len(missing)
    assert json.loads(daemon.aethel("version", "--format", "json").out)["Server"]["Version"]


def test_fifty_cycles_leave_the_host_as_it_was(daemon: Daemon) -> None:
    daemon.shell("true")
    assert host.wait_until(lambda: host.ports_of(daemon.bridge) == [])

    before, descriptors = daemon.traces(), host.descriptors(daemon.pid)
    for number in range(50):
        if number % 5:
            assert daemon.shell("true").code == 0
        else:
            name = daemon.aethel("create", "demo-alpine", "true").out.strip()
            assert daemon.aethel("start", "-a", name).code == 0
            assert daemon.aethel("rm", name).code == 0
    assert host.wait_until(lambda: daemon.traces() == before), daemon.traces()
    # A worker thread of gRPC may have come to life, with a database connection of its own (two descriptors, and its log).
    assert host.wait_until(lambda: host.descriptors(daemon.pid) <= descriptors + 30), host.descriptors(daemon.pid)
