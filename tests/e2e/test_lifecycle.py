"""ps, logs, stop, kill, rm, wait, inspect, info; names and prefixes; bad input."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

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
    ids = [one]
    while len({each[0] for each in ids}) == len(ids):
        ids.append(daemon.aethel("create", "demo-alpine").out.strip())
    shared = ids[-1][0]
    done = daemon.aethel("stop", shared)
    assert done.code == 1
    assert "ambiguous" in done.err
    assert len(done.error_lines) == 1
    assert daemon.aethel("rm", *ids).code == 0


def test_info_and_version(daemon: Daemon) -> None:
    info = daemon.info()
    assert info["DaemonPid"] == daemon.pid
    assert info["StateRoot"] == str(daemon.state)
    assert {each["Name"] for each in info["Features"]} >= {"cgroup2", "user-namespaces", "nftables-nat"}
    assert json.loads(daemon.aethel("version", "--format", "json").out)["Server"]["Version"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "no-such-image"), 125, "there is: "),
        (("run", "--name", "!", "demo-alpine"), 125, "bad container name"),
        (("run", "demo-alpine", ""), 125, "empty command"),
        (("run", "--no-such-option", "demo-alpine"), 125, "--no-such-option"),
        (("run", "--network", "no-such", "demo-alpine"), 125, "no-such"),
        (("run", "--security-opt", "seccomp=x", "demo-alpine"), 125, "seccomp=x"),
        (("run", "--hostname", "-", "demo-alpine"), 125, "host name"),
        (("run", "-w", "relative", "demo-alpine", "true"), 125, "not absolute"),
        (("run", "--stop-signal", "NOPE", "demo-alpine", "true"), 125, "NOPE"),
        (("run",), 125, "IMAGE"),
        (("stop", "no-such"), 1, "no such container"),
        (("rm", "no-such"), 1, "no such container"),
        (("logs", "no-such"), 1, "no such container"),
        (("wait", "no-such"), 1, "no such container"),
        (("start", "no-such"), 1, "no such container"),
        (("kill", "-s", "NOPE", "no-such"), 1, "NOPE"),
        (("no-such-command",), 2, "no-such-command"),
        (("ps", "--no-such-option"), 2, "--no-such-option"),
    ],
)
def test_bad_input_gets_one_line(daemon: Daemon, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = daemon.aethel(*arguments)
    assert (done.code, len(done.error_lines)) == (code, 1), done.err
    assert words in done.err
    assert daemon.aethel("ps", "-aq").out == ""


def test_a_name_is_given_once(daemon: Daemon) -> None:
    first = daemon.aethel("create", "--name", "unique", "demo-alpine").out.strip()
    done = daemon.aethel("run", "--name", "unique", "demo-alpine", "true")
    assert done.code == 125
    assert first[:12] in done.err
    assert daemon.aethel("rm", "unique").code == 0


def test_without_a_daemon_one_line_says_how_to_start_it(daemon: Daemon) -> None:
    for path in ("/nowhere/at/all", daemon.root / "stale"):
        done = daemon.aethel("-H", str(path), "ps")
        assert done.code == 125
        assert len(done.error_lines) == 1
        assert "sudo aethel-d" in done.err


def test_fifty_cycles_leave_the_host_as_it_was(daemon: Daemon) -> None:
    daemon.shell("true")
    launcher = daemon.info()["LauncherPid"]
    assert host.wait_until(lambda: host.ports_of(daemon.bridge) == [])

    def observed() -> list[object]:
        return [
            host.mounts(),
            host.ports_of(daemon.bridge),
            host.cgroups(daemon.cgroup),
            [table for table in host.tables() if daemon.bridge in table],
            host.descriptors(launcher),
            sorted(os.listdir(daemon.state / "containers")),
            sorted(os.listdir(daemon.run / "containers")),
            daemon.aethel("ps", "-aq").out,
        ]

    before, descriptors = observed(), host.descriptors(daemon.pid)
    for number in range(50):
        if number % 5:
            assert daemon.shell("true").code == 0
        else:
            name = daemon.aethel("create", "demo-alpine", "true").out.strip()
            assert daemon.aethel("start", "-a", name).code == 0
            assert daemon.aethel("rm", name).code == 0
    assert host.wait_until(lambda: observed() == before), observed()
    # A worker thread of gRPC may have come to life, with a database connection of its own (two descriptors, and its log).
    assert host.wait_until(lambda: host.descriptors(daemon.pid) <= descriptors + 30), host.descriptors(daemon.pid)
