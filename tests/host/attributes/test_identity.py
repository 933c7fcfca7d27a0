"""Who it is and what it may: ids, groups, capabilities, labels. Each test names its section of the spec."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aethel_common.errors import AethelError, InvalidArgument, Unsupported
from aethel_common.linux import capabilities, namespaces
from aethel_common.linux.namespaces import CloneFlags
from aethel_run.init.steps import identity
from aethel_run.process import preconditions
from aethel_run.spec.process import Capabilities, User
from aethel_run.spec.template import default_spec
from tests.harness.scripts import in_child, spec_of
from tests.host.attributes.conftest import Run

# config.md#posix-platform-user


@pytest.mark.parametrize("userns", [False, True])
def test_ids_groups_and_umask_are_as_said(run: Run, userns: bool) -> None:
    """config.md#posix-platform-user"""
    user = User(uid=1000, gid=1001, additional_gids=(5, 6, 5), umask=0o27)
    answer = run(
        "id -u; id -g; grep Groups: /proc/self/status; umask", userns=userns, user=user, capabilities=Capabilities()
    )
    uid, gid, groups, umask = answer.splitlines()
    assert (uid, gid, umask) == ("1000", "1001", "0027")
    assert sorted(groups.split()[1:], key=int) == ["5", "6", "1001"]


def test_cve_2022_36109_no_group_of_the_caller_is_left(run: Run) -> None:
    """config.md#posix-platform-user: a file that is denied to the user's group stays denied."""
    before = os.getgroups()
    os.setgroups([*before, 4242])
    try:
        answer = run("grep Groups: /proc/self/status", user=User(uid=1000, gid=1001))
    finally:
        os.setgroups(before)
    assert answer.split()[1:] == ["1001"]


def test_cve_2024_40635_an_id_that_is_none_does_not_become_root(run: Run) -> None:
    """config.md#posix-platform-user"""
    with pytest.raises(InvalidArgument, match=r"process\.user\.uid: 4294967295 is not an id"):
        run("id -u", user=User(uid=2**32 - 1))
    assert run("id -u", user=User(uid=2**32 - 2)) == str(2**32 - 2)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (User(uid=70000), r"process\.user\.uid: 70000"),
        (User(gid=70000), r"process\.user\.gid and additionalGids: 70000"),
        (User(additional_gids=(70000,)), r"process\.user\.gid and additionalGids: 0, 70000"),
    ],
)
def test_an_id_that_is_not_mapped_is_named(run: Run, user: User, words: str) -> None:
    """config.md#posix-platform-user: a user namespace has no such id; known when the program is to start."""
    with pytest.raises(AethelError, match=words + ": not mapped"):
        run("true", userns=True, user=user)


def test_groups_are_left_alone_where_setting_them_is_denied() -> None:
    """config.md#posix-platform-user: without privileges outside, man 7 user_namespaces."""

    def child() -> object:
        namespaces.unshare(CloneFlags.NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text("0 0 1")
        before = os.getgroups()
        identity.set_groups((0, 5), userns=True)
        try:
            identity.set_groups((0, 5), userns=False)
        except PermissionError:
            return before == os.getgroups()
        return "set all the same"

    assert in_child(child) == "True"


# config.md#linux-process: capabilities


def _sets(status: str) -> dict[str, int]:
    return {line.split(":")[0]: int(line.split(":")[1], 16) for line in status.splitlines()}


@pytest.mark.parametrize("userns", [False, True])
def test_the_five_sets_of_root(run: Run, userns: bool) -> None:
    """config.md#linux-process (capabilities); CVE-2022-24769: inheritable stays empty."""
    sets = _sets(run("grep ^Cap /proc/self/status", userns=userns))
    default = default_spec().process
    assert default is not None
    assert default.capabilities is not None
    wanted = capabilities.mask(capabilities.Capability[name] for name in default.capabilities.bounding)
    assert sets == {"CapInh": 0, "CapPrm": wanted, "CapEff": wanted, "CapBnd": wanted, "CapAmb": 0}


def test_ambient_capabilities_are_what_a_user_keeps(run: Run) -> None:
    """config.md#linux-process (capabilities.ambient): only what is permitted and inheritable too."""
    names = ("CAP_NET_RAW", "CAP_KILL")
    asked = Capabilities(bounding=names, permitted=names, effective=names, inheritable=("CAP_NET_RAW",), ambient=names)
    sets = _sets(run("grep ^Cap /proc/self/status", user=User(uid=1000, gid=1000), capabilities=asked))
    net_raw, kill = 1 << 13, 1 << 5
    assert sets == {
        "CapInh": net_raw, "CapPrm": net_raw, "CapEff": net_raw, "CapBnd": net_raw | kill, "CapAmb": net_raw
    }  # fmt: skip


def test_what_this_runtime_has_not_it_does_not_give_and_does_not_fail(run: Run) -> None:
    """config.md#linux-process (capabilities): runtimes SHOULD NOT fail, and MUST warn."""
    every = tuple(capabilities.Capability.__members__)
    everything = Capabilities(bounding=every, permitted=every, effective=every)
    own = capabilities.capget().permitted & capabilities.bounding()
    sets = _sets(run("grep ^Cap /proc/self/status", capabilities=everything))
    assert sets == {"CapInh": 0, "CapPrm": own, "CapEff": own, "CapBnd": own, "CapAmb": 0}
    missing = [each.name for each in capabilities.supported() if not own >> each & 1]
    told = preconditions.warnings(spec_of("true", userns=False, linux={}, process={"capabilities": everything}))
    assert [line for line in told if ".permitted:" in line] == [
        f"process.capabilities.permitted: {name} cannot be given here" for name in missing
    ]


def test_a_user_namespace_has_every_capability(run: Run) -> None:
    """config.md#linux-process (capabilities)"""
    every = tuple(capabilities.Capability.__members__)
    everything = Capabilities(bounding=every, permitted=every, effective=every)
    sets = _sets(run("grep ^Cap /proc/self/status", userns=True, capabilities=everything))
    assert sets["CapEff"] == sets["CapBnd"] == capabilities.mask(capabilities.supported())
    spec = spec_of("true", userns=True, linux={}, process={"capabilities": everything})
    assert preconditions.warnings(spec) == []


def test_a_bounding_set_with_room_for_what_is_not_permitted(run: Run) -> None:
    """config.md#linux-process (capabilities): an effective capability that is not permitted is not given."""
    asked = Capabilities(bounding=("CAP_KILL",), permitted=(), effective=("CAP_KILL",))
    answer = run("grep ^CapBnd /proc/self/status", user=User(uid=9, gid=9), capabilities=asked)
    assert _sets(answer) == {"CapBnd": 1 << 5}


# config.md#linux-process: apparmorProfile and selinuxLabel


@pytest.mark.parametrize(
    ("field", "enabled"),
    [
        ("apparmor_profile", preconditions.apparmor_is_enabled()),
        ("selinux_label", preconditions.selinux_is_enabled()),
    ],
)
def test_a_label_without_its_security_module_is_refused(run: Run, field: str, enabled: bool) -> None:
    """config.md#linux-process (apparmorProfile, selinuxLabel)"""
    if enabled:
        pytest.skip("this kernel has the module")
    with pytest.raises(Unsupported, match=r"is not enabled in this kernel"):
        run("true", **{field: "x"})
