"""What the kernel holds it to: personality, memory, limits, OOM score, cache. Each test names its section of the spec."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aethel_common.errors import AethelError, NotPermitted, Unsupported
from aethel_common.linux import capabilities
from aethel_run.process import preconditions
from aethel_run.spec.config import Spec
from aethel_run.spec.load import decode, encode
from aethel_run.spec.process import Rlimit
from tests.harness.scripts import open_descriptors, output_of, spec_of
from tests.host.attributes.conftest import Run

# config-linux.md#personality


@pytest.mark.parametrize(("domain", "machine"), [("LINUX32", "i[3-6]86|armv[78]l"), ("LINUX", os.uname().machine)])
def test_the_personality_is_what_uname_tells(rootfs: Path, domain: str, machine: str) -> None:
    """config-linux.md#personality"""
    document = msgspec.json.decode(encode(spec_of("uname -m", userns=False, linux={}, process={})))
    document["linux"]["personality"] = {"domain": domain}
    assert re.fullmatch(machine, output_of(decode(msgspec.json.encode(document)), rootfs))


# config-linux.md#memory-policy


@pytest.mark.skipif(not Path("/proc/self/numa_maps").exists(), reason="this kernel has no NUMA")
@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "interleave=static:0"),
        ({"mode": "MPOL_PREFERRED"}, "local"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
)
def test_memory_comes_from_the_nodes_that_are_named(rootfs: Path, policy: dict[str, Any], words: str) -> None:
    """config-linux.md#memory-policy"""
    document = msgspec.json.decode(encode(spec_of("cat /proc/self/numa_maps", userns=True, linux={}, process={})))
    document["linux"]["memoryPolicy"] = policy
    # What the loader mapped may be older than the policy of the process; its stack never is.
    lines = output_of(decode(msgspec.json.encode(document)), rootfs).splitlines()
    assert {line.split()[1] for line in lines if "[heap]" in line or " heap" in line or " stack" in line} == {words}


def test_a_node_that_is_not_there_is_an_error(rootfs: Path) -> None:
    """config-linux.md#memory-policy"""
    document = msgspec.json.decode(encode(spec_of("true", userns=False, linux={}, process={})))
    document["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "1023"}
    with pytest.raises(AethelError, match=r"^set_memory_policy: set_mempolicy\(2\)"):
        output_of(decode(msgspec.json.encode(document)), rootfs)


# config.md#posix-process: rlimits


@pytest.mark.parametrize("userns", [False, True])
def test_resource_limits_are_as_said(run: Run, userns: bool) -> None:
    """config.md#posix-process (rlimits): both values match, up to the last of 64 bits."""
    rlimits = (
        Rlimit(type="RLIMIT_NOFILE", soft=64, hard=128),
        Rlimit(type="RLIMIT_CORE", soft=0, hard=2**64 - 1),
        Rlimit(type="RLIMIT_LOCKS", soft=3, hard=2**63 + 5),
        Rlimit(type="RLIMIT_AS", soft=2**63, hard=2**64 - 1),
    )
    table = run("cat /proc/self/limits", userns=userns, rlimits=rlimits)
    rows = {re.split(r" {2,}", line)[0]: re.split(r" {2,}", line)[1:3] for line in table.splitlines()}
    assert rows["Max open files"] == ["64", "128"]
    assert rows["Max core file size"] == ["0", "unlimited"]
    assert rows["Max file locks"] == ["3", str(2**63 + 5)]
    assert rows["Max address space"] == [str(2**63), "unlimited"]


def test_a_limit_that_cannot_be_raised_is_named(run: Run) -> None:
    """config.md#posix-process (rlimits)"""
    before = open_descriptors()
    with pytest.raises(NotPermitted, match=r"process\.rlimits: RLIMIT_NOFILE: 4294967296 is above the hard limit"):
        run("true", rlimits=(Rlimit(type="RLIMIT_NOFILE", soft=1, hard=2**32),))
    assert open_descriptors() == before


# config.md#linux-process: oomScoreAdj


@pytest.mark.parametrize("userns", [False, True])
def test_the_oom_score_is_set_when_it_is_named_and_only_then(run: Run, userns: bool) -> None:
    """config.md#linux-process (oomScoreAdj)"""
    own = Path("/proc/self/oom_score_adj").read_text().strip()
    assert run("cat /proc/self/oom_score_adj", userns=userns) == own
    assert run("cat /proc/self/oom_score_adj", userns=userns, oom_score_adj=321) == "321"


@pytest.mark.skipif(
    bool(capabilities.capget().effective >> capabilities.Capability.CAP_SYS_RESOURCE & 1),
    reason="this root may lower it",
)
def test_an_oom_score_that_cannot_be_lowered_is_an_error(run: Run) -> None:
    """config.md#linux-process (oomScoreAdj): it MUST be the given value."""
    with pytest.raises(NotPermitted, match=r"process\.oomScoreAdj: -1000 is less"):
        run("true", oom_score_adj=-1000)


# config-linux.md#intelrdt


def test_resctrl_that_is_not_mounted_is_an_error(rootfs: Path) -> None:
    """config-linux.md#intelrdt: the runtime MUST generate an error."""
    if "resctrl" in Path("/proc/self/mountinfo").read_text():
        pytest.skip("this machine has resctrl")
    spec = spec_of("true", userns=False, linux={}, process={})
    document = msgspec.json.decode(encode(spec))
    document["linux"]["intelRdt"] = {"closID": "x"}
    with pytest.raises(Unsupported, match=r"linux\.intelRdt: no resctrl file system is mounted"):
        preconditions.check(msgspec.json.decode(msgspec.json.encode(document), type=Spec))
