"""Whose namespaces a container is in, seen from inside and from the host."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.harness.daemon import Daemon
from tests.harness.host import wait_until

KINDS = ("cgroup", "ipc", "net", "pid", "user", "uts")
LINKS = "for kind in " + " ".join(KINDS) + "; do readlink /proc/self/ns/$kind; done"
ALL_OF = ("pid", "ipc", "uts", "cgroupns", "network")


def links_of(pid: int) -> list[str]:
    return [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS]


def joining(name: str) -> list[str]:
    return [word for option in ALL_OF for word in (f"--{option}", f"container:{name}")]


@pytest.fixture
def donor(daemon: Daemon) -> Iterator[str]:
    name = daemon.detached("echo hello > /dev/shm/greeting; sleep 100", "--sysctl", "kernel.msgmax=9001")
    detail = daemon.inspect(name)
    shm = f"/proc/{detail['State']['Pid']}/root/dev/shm/greeting"
    assert wait_until(lambda: os.path.exists(shm) and os.path.getsize(shm))
    yield name
    daemon.aethel("rm", "-f", name)


def test_another_container_s_namespaces_are_joined(daemon: Daemon, donor: str) -> None:
    detail = daemon.inspect(donor)
    script = (
        f"{LINKS}; cat /dev/shm/greeting /proc/sys/kernel/msgmax /etc/hostname; hostname; id -u; ps | grep -c slee[p]"
    )
    done = daemon.shell(f"{script}; grep -c mqueue /proc/mounts; ls /sys/class/net | grep eth0", *joining(donor))
    lines = done.out.splitlines()
    assert lines[: len(KINDS)] == links_of(detail["State"]["Pid"]), done.err
    own = detail["Config"]["Hostname"]
    assert lines[len(KINDS) :] == ["hello", "9001", own, own, "0", "1", "1", "eth0"], done.err


def test_the_host_s_root_may_join_without_the_user_namespace(daemon: Daemon, donor: str) -> None:
    detail = daemon.inspect(donor)
    done = daemon.shell(f"{LINKS}; cat /dev/shm/greeting; ps | grep -c slee[p]", *joining(donor), "--userns", "host")
    lines = done.out.splitlines()
    expected = links_of(detail["State"]["Pid"])
    expected[KINDS.index("user")] = os.readlink("/proc/self/ns/user")
    assert lines[: len(KINDS)] == expected, done.err
    assert lines[len(KINDS) :] == ["hello", "1"]


def test_who_shares_has_the_other_s_range_and_ends_with_its_processes(daemon: Daemon, donor: str) -> None:
    name = daemon.detached("touch /made; sleep 100", "--pid", f"container:{donor}")
    detail, other = daemon.inspect(name), daemon.inspect(donor)
    assert detail["IdRange"] == other["IdRange"]
    assert detail["HostConfig"]["PidMode"] == detail["HostConfig"]["UsernsMode"] == f"container:{donor}"
    made = daemon.state / "containers" / name / "upper" / "made"
    assert wait_until(made.exists)
    assert made.stat().st_uid == other["IdRange"]["HostId"]
    daemon.aethel("kill", donor)
    assert daemon.aethel("wait", name).out == "137\n"
    done = daemon.aethel("start", name)
    assert (done.code, len(done.error_lines)) == (1, 1)
    assert "not running" in done.err
    # As with Docker: who is joined may be removed; who joins then cannot start, and its range stays its own.
    assert daemon.aethel("rm", donor).code == 0
    done = daemon.aethel("start", name)
    assert (done.code, len(done.error_lines)) == (1, 1)
    assert "no such container" in done.err
    fresh = daemon.aethel("create", "demo-alpine").out.strip()
    assert daemon.inspect(fresh)["IdRange"] != detail["IdRange"]
    daemon.aethel("rm", name, fresh)


@pytest.mark.parametrize("users", ["private", "host"])
def test_the_host_s_namespaces_are_shown_as_they_are(daemon: Daemon, users: str) -> None:
    """In a user namespace of its own a container cannot mount /proc, /sys and /dev/shm of them, so it is shown them."""
    marker = f"/dev/shm/{daemon.token}"
    with open(marker, "w") as file:
        file.write("from the host\n")
    try:
        script = (
            f"{LINKS}; cat {marker}; echo; hostname; test -d /proc/{os.getpid()} && echo seen; cat /proc/self/cgroup"
        )
        options = [word for option in ALL_OF for word in (f"--{option}", "host")]
        done = daemon.shell(f"{script}; ls /sys/fs/cgroup/cgroup.procs", *options, "--userns", users)
    finally:
        os.unlink(marker)
    lines = done.out.splitlines()
    for kind, found, host in zip(KINDS, lines, links_of(os.getpid()), strict=False):
        assert (found == host) is (kind != "user" or users == "host"), kind
    rest = lines[len(KINDS) :]
    assert rest[:4] == ["from the host", "", os.uname().nodename, "seen"], done.err
    assert any(line.startswith(f"0::/{daemon.cgroup}/") for line in rest)
    assert rest[-1] == "/sys/fs/cgroup/cgroup.procs"


def test_without_a_pid_namespace_of_its_own_all_its_processes_end_with_the_first(daemon: Daemon) -> None:
    name = daemon.detached("sleep 1000 & echo $! > /pid; exit 3", "--pid", "host")
    assert daemon.aethel("wait", name).out == "3\n"
    upper = daemon.state / "containers" / name / "upper"
    assert not os.path.exists(f"/proc/{int((upper / 'pid').read_text())}/root/pid")
    daemon.aethel("rm", name)


def test_a_range_of_ids_of_the_size_that_was_asked_for(daemon: Daemon) -> None:
    mapped = ("--userns", "auto:size=1000,uidmapping=5:77:2,gidmapping=0:78:1")
    name = daemon.detached("touch /a /b; chown 5 /b; cat /proc/self/uid_map /proc/self/gid_map; sleep 100", *mapped)
    assert wait_until(lambda: len(daemon.aethel("logs", name).out.splitlines()) == 5)
    detail = daemon.inspect(name)
    base = detail["IdRange"]["HostId"]
    assert [line.split() for line in daemon.aethel("logs", name).out.splitlines()] == [
        ["0", str(base), "5"],
        ["5", "77", "2"],
        ["7", str(base + 7), "993"],
        ["0", "78", "1"],
        ["1", str(base + 1), "999"],
    ]
    upper = daemon.state / "containers" / name / "upper"
    assert [(upper / each).stat().st_uid for each in "ab"] == [base, 77]
    assert (upper / "a").stat().st_gid == 78
    assert (detail["IdRange"]["Size"], detail["HostConfig"]["UsernsMode"]) == (1000, mapped[1])
    daemon.aethel("rm", "-f", name)


def test_a_range_of_one_is_enough_for_root_alone(daemon: Daemon) -> None:
    done = daemon.shell("id -u; stat -c %u /bin /etc/hosts", "--userns", "auto:size=1", "-u", "0:0")
    assert done.out.split() == ["0"] * 3, done.err
