"""What the options mean: capabilities, hidden paths, sysctls, limits, maps of ids, file systems in memory."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_common.errors import Exhausted, InvalidArgument
from aethel_common.linux.capabilities import Capability
from aethel_d.engine import idmap, kernel, mounts, privileges
from aethel_d.engine.asked import IdMap, Privileges, Ulimit
from aethel_run.spec.template import DEFAULT_CAPABILITIES, default_spec

EVERYTHING = tuple(sorted(Capability.__members__))
DEFAULTS = set(DEFAULT_CAPABILITIES)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), DEFAULTS),
        (("CAP_NET_ADMIN",), ("CAP_CHOWN",), DEFAULTS - {"CAP_CHOWN"} | {"CAP_NET_ADMIN"}),
        (("CAP_CHOWN",), ("CAP_CHOWN",), DEFAULTS),
        (("ALL",), ("CAP_SYS_ADMIN",), {*EVERYTHING} - {"CAP_SYS_ADMIN"}),
        (("CAP_KILL",), ("ALL",), {"CAP_KILL"}),
        ((), ("ALL",), set()),
        (("ALL",), ("ALL",), {*EVERYTHING}),
    ],
)
def test_capabilities_are_added_and_dropped_as_docker_does_it(
    add: tuple[str, ...], drop: tuple[str, ...], expected: set[str]
) -> None:
    assert set(privileges.capabilities(Privileges(cap_add=add, cap_drop=drop))) == expected


def test_privileged_has_all_but_what_is_dropped() -> None:
    asked = Privileges(privileged=True, cap_drop=("CAP_SYS_BOOT",))
    assert set(privileges.capabilities(asked)) == {*EVERYTHING} - {"CAP_SYS_BOOT"}


@pytest.mark.parametrize("text", ["net_admin", "NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin"])
def test_a_capability_has_one_name(text: str) -> None:
    assert privileges.capability_name(text) == "CAP_NET_ADMIN"


@given(st.text())
def test_other_text_is_no_capability(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        assert privileges.capability_name(text) in (*EVERYTHING, "ALL")


def test_paths_are_masked_and_unmasked() -> None:
    base = default_spec().linux
    masked, read_only = privileges.hidden_paths(Privileges(mask=("/a", "/proc/keys"), unmask=("/proc/*",)), base)
    assert masked == ("/sys/devices/virtual/powercap", "/sys/firmware", "/a", "/proc/keys")
    assert read_only == ()
    assert privileges.hidden_paths(Privileges(), base) == (base.masked_paths, base.readonly_paths)
    assert privileges.hidden_paths(Privileges(unmask=("ALL",)), base) == ((), ())
    assert privileges.hidden_paths(Privileges(privileged=True, mask=("/a",)), base) == (("/a",), ())
    _, read_only = privileges.hidden_paths(Privileges(unmask=("/proc/sys",)), base)
    assert read_only == ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Privileges(mask=("a",)), "not an absolute path"),
        (Privileges(unmask=("proc/*",)), "not an absolute path"),
        (Privileges(unmask=("/etc",)), "neither masked nor read-only"),
    ],
)
def test_masks_that_mean_nothing_are_refused(asked: Privileges, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        privileges.hidden_paths(asked, default_spec().linux)


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        ("net.ipv4.ip_forward", "network"),
        ("net/ipv4/conf/eth0.1/forwarding", "network"),
        ("kernel.msgmax", "ipc"),
        ("kernel.shm_rmid_forced", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
    ],
)
def test_a_sysctl_belongs_to_a_namespace(key: str, owner: str) -> None:
    assert kernel.sysctl_owner(key) == owner


@pytest.mark.parametrize(
    "key",
    [
        "kernel.core_pattern",
        "kernel.sem_next_id.x",
        "kernel.shmall2",
        "vm.swappiness",
        "net",
        "net.",
        "net..x",
        "net.ipv4/../../kernel/core_pattern",
        "net.ipv4.x=1+kernel.core_pattern",
        "kernel.domainname",
        "",
    ],
)
def test_sysctls_of_the_host_are_refused(key: str) -> None:
    """CVE-2022-0811: a key that led out of its directory."""
    with pytest.raises(InvalidArgument, match="sysctl"):
        kernel.sysctl_owner(key)


def test_a_sysctl_goes_with_a_namespace_of_its_own() -> None:
    kernel.check_sysctl({"net.core.somaxconn": "1"}, frozenset({"network"}))
    with pytest.raises(InvalidArgument, match="private network namespace"):
        kernel.check_sysctl({"net.core.somaxconn": "1"}, frozenset({"ipc"}))
    with pytest.raises(InvalidArgument, match="bad value"):
        kernel.check_sysctl({"net.core.somaxconn": "1\n2"}, frozenset({"network"}))


def test_ulimits_become_rlimits_and_the_last_counts() -> None:
    asked = (
        Ulimit(name="nofile", soft=1, hard=2),
        Ulimit(name="as", soft=5, hard=5),
        Ulimit(name="nofile", soft=3, hard=4),
    )
    assert [(each.type, each.soft, each.hard) for each in kernel.rlimits(asked)] == [
        ("RLIMIT_AS", 5, 5),
        ("RLIMIT_NOFILE", 3, 4),
    ]
    with pytest.raises(InvalidArgument, match="unknown ulimit 'files'"):
        kernel.rlimits([Ulimit(name="files", soft=1, hard=1)])
    with pytest.raises(InvalidArgument, match="above the hard limit"):
        kernel.rlimits([Ulimit(name="nofile", soft=2, hard=1)])


def test_tmpfs_options_come_after_the_defaults_and_outer_ones_first() -> None:
    found = mounts.tmpfs_mounts({"/a/b": "exec,size=1m,mode=1700", "/a": "", "/b": "size=50%"})
    assert [mount.destination for mount in found] == ["/a", "/b", "/a/b"]
    assert found[2].options == ("noexec", "nosuid", "nodev", "exec", "size=1m", "mode=1700")


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/proc", ""),
        ("/sys/x", ""),
        ("/dev", ""),
        ("/dev/pts", ""),
        ("a", ""),
        ("/a/", ""),
        ("/a/../b", ""),
        ("/a", "bind"),
        ("/a", "size=1x"),
        ("/a", "mode=9"),
        ("/a", "mode"),
        ("/a", "huge=always"),
        ("/a", "shared"),
    ],
)
def test_a_tmpfs_that_cannot_be_is_named(path: str, options: str) -> None:
    with pytest.raises(InvalidArgument, match="tmpfs"):
        mounts.tmpfs_mounts({path: options})


RANGES = st.lists(st.integers(1, 70000), max_size=12)


@given(RANGES, st.integers(1, 70000), st.data())
def test_ranges_of_ids_never_overlap(sizes: list[int], wanted: int, data: st.DataObject) -> None:
    start, end = 1000, 300_000
    used: list[tuple[int, int]] = []
    for size in (*sizes, wanted):
        if used and data.draw(st.booleans()):
            used.remove(data.draw(st.sampled_from(used)))
        try:
            base = idmap.free_base(used, size, start=start, end=end)
        except Exhausted:
            taken = sorted([(start, 0), *used, (end, 0)])
            gaps = [after[0] - (before[0] + before[1]) for before, after in itertools.pairwise(taken)]
            assert max(gaps) < size
            continue
        assert start <= base <= end - size
        assert all(base + size <= other or other + count <= base for other, count in used)
        used.append((base, size))


def test_a_map_covers_the_range_but_for_what_is_mapped_otherwise() -> None:
    assert idmap.whole_map(100, 10) == (IdMap(inside=0, host=100, size=10),)
    forced = (IdMap(inside=0, host=7, size=1), IdMap(inside=4, host=50, size=2), IdMap(inside=20, host=70, size=5))
    maps = idmap.whole_map(100, 10, forced)
    assert [(each.inside, each.host, each.size) for each in maps] == [
        (0, 7, 1),
        (1, 101, 3),
        (4, 50, 2),
        (6, 106, 4),
        (20, 70, 5),
    ]
    assert [idmap.on_host(inside, maps) for inside in (0, 3, 5, 9, 10, 24)] == [7, 103, 51, 109, None, 74]


@given(st.integers(1, 200), st.lists(st.tuples(st.integers(0, 250), st.integers(1, 20)), max_size=5))
def test_every_id_is_mapped_once(size: int, pieces: list[tuple[int, int]]) -> None:
    forced: list[IdMap] = []
    for inside, count in pieces:
        new = IdMap(inside=inside, host=5000 + inside, size=count)
        try:
            idmap.check("x", [*forced, new], start=100_000, end=200_000)
        except InvalidArgument:
            continue
        forced.append(new)
    maps = idmap.whole_map(100_000, size, forced)
    inside = [each.inside + offset for each in maps for offset in range(each.size)]
    assert len(inside) == len(set(inside))
    assert set(range(size)) <= set(inside)


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        ([(0, 5, 0)], "not a range"),
        ([(0, 2**32 - 2, 2)], "not a range"),
        ([(0, 150, 1)], "kept for containers"),
        ([(0, 99, 2)], "kept for containers"),
        ([(0, 5, 2), (1, 9, 1)], "overlap"),
        ([(0, 5, 2), (9, 6, 1)], "overlap"),
    ],
)
def test_maps_that_cannot_be(maps: list[tuple[int, int, int]], words: str) -> None:
    asked = [IdMap(inside=inside, host=host, size=size) for inside, host, size in maps]
    with pytest.raises(InvalidArgument, match=words):
        idmap.check("uidmapping", asked, start=100, end=200)
