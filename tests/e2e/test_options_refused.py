"""What can never be is refused in one line, with 125, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.daemon import Daemon

PRIVILEGES = [
    ("--cap-add=NOPE", "unknown capability 'NOPE'"),
    ("--security-opt=nope", "--security-opt nope"),
    ("--security-opt=seccomp={profile}", "defaultAction"),
    ("--security-opt=unmask=/etc", "neither masked nor read-only"),
    ("--security-opt=apparmor=no-such-profile", "pparmor"),
    ("--security-opt=label=type:no_such_t", "elinux"),
    ("--group-add=no-such-group", "no such group"),
    ("--group-add=4294967296", "out of range"),
    ("--privileged --userns=private", "privileged"),
    ("--device=/no/such/device", "no such file"),
    ("--device=/etc", "without devices"),
    ("--device-cgroup-rule=c 1:1", "--device-cgroup-rule"),
]
NAMESPACES = [
    ("--userns=keep-id", "--userns"),
    ("--userns=auto:size=4294967295", "not a number of ids"),
    ("--userns=auto:uidmapping=0:524288:1", "kept for containers"),
    ("--pid=container:nobody", "no such container"),
    ("--network=container:nobody", "no such container"),
    ("--network=no-such-network", "--network"),
    ("--uts=host --hostname=x", "hostname"),
    ("--ipc=host --shm-size=1m", "shm-size"),
]
KERNEL = [
    ("--sysctl=kernel.core_pattern=|/x", "kernel.core_pattern"),
    ("--sysctl=net.ipv4.x=1+kernel.core_pattern=|/x", "net"),
    ("--sysctl=net.ipv4.ip_forward=1 --network=host", "private network namespace"),
    ("--ulimit=nope=1", "unknown ulimit"),
    ("--ulimit=nofile=9999999999", "hard limit"),
    ("--tmpfs=/proc/x", "tmpfs /proc/x"),
    ("--tmpfs=/x:bind", "bad option 'bind'"),
    ("--umask=8", "--umask"),
    ("--annotation=aethelred.x=1", "reserved"),
    ("--annotation=org.aethelred.without=", "reserved"),
    ("--domainname=-x", "host name"),
]


@pytest.mark.parametrize("table", [PRIVILEGES, NAMESPACES, KERNEL], ids=["privileges", "namespaces", "kernel"])
def test_a_bad_option_is_one_line(daemon: Daemon, tmp_path: Path, table: list[tuple[str, str]]) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text("{}")
    before = daemon.aethel("ps", "-aq").out
    for options, words in table:
        first, *others = options.format(profile=profile).split(" --")
        done = daemon.aethel("run", "--rm", first, *(f"--{each}" for each in others), "demo-alpine", "true")
        assert (done.code, len(done.error_lines)) == (125, 1), (options, done.err)
        assert words in done.err, options
    assert daemon.aethel("ps", "-aq").out == before
