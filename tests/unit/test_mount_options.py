"""Option words of mounts: each has one meaning, what has none is the file system's, and nothing breaks the reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_common.errors import InvalidSpec
from aethel_common.linux.mounts import MountAttr, MountFlags
from aethel_run.init import newfs
from aethel_run.spec.load import decode, encode
from aethel_run.spec.mounts import OPTION_WORDS, Mount, is_bind, meaning
from aethel_run.spec.template import default_spec

SPECIFIED = """
async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec
noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime
remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw
rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup
unbindable idmap ridmap
""".split()

KNOWN = st.sampled_from(OPTION_WORDS)
PLAIN = st.text(st.characters(exclude_characters=',"\\\0', exclude_categories=["Cs"]), min_size=1)
UNKNOWN = PLAIN.filter(lambda word: word not in OPTION_WORDS)


def test_every_word_of_the_specification_is_known() -> None:
    """config.md#linux-mount-options"""
    assert set(SPECIFIED) <= set(OPTION_WORDS)


@pytest.mark.parametrize("word", SPECIFIED)
def test_no_word_of_the_specification_reaches_the_file_system_as_data(word: str) -> None:
    words = meaning(Mount(destination="/x", type="tmpfs", options=(word,)))
    assert words.data == []
    assert word == "defaults" or words != meaning(Mount(destination="/x", type="tmpfs")) or _takes_back(word)


def _takes_back(word: str) -> bool:
    return word in ("loud", "noiversion")


@given(st.lists(st.one_of(KNOWN, UNKNOWN)))
def test_unknown_words_keep_their_order_and_nothing_else_is_among_them(options: list[str]) -> None:
    mount = Mount(destination="/x", type="tmpfs", options=tuple(options))
    words = meaning(mount)
    expected = [] if is_bind(mount) else [word for word in options if word not in OPTION_WORDS]
    assert [key if value is None else f"{key}={value}" for key, value in words.data] == expected


@given(st.lists(UNKNOWN, min_size=2))
def test_data_comes_back_from_the_string_that_mount_2_gets(options: list[str]) -> None:
    words = meaning(Mount(destination="/x", type="tmpfs", options=tuple(options)))
    joined = newfs.data(words, "tmpfs", "")
    assert joined is not None
    assert meaning(Mount(destination="/x", type="tmpfs", options=(joined,))).data == words.data


@given(st.lists(st.one_of(KNOWN, st.text())), st.sampled_from(["", "tmpfs", "bind", "proc"]))
def test_any_words_are_read_or_refused(options: list[str], kind: str) -> None:
    document: dict[str, Any] = json.loads(encode(default_spec()))
    document["mounts"].append({"destination": "/x", "type": kind, "source": "/", "options": options})
    try:
        spec = decode(json.dumps(document).encode("utf-8", "surrogatepass"))
    except InvalidSpec:
        return
    assert spec.mounts[-1].options == tuple(options)
    assert decode(encode(spec)) == spec


@given(st.lists(KNOWN))
def test_attributes_are_never_both_set_and_cleared_but_for_the_access_time(options: list[str]) -> None:
    words = meaning(Mount(destination="/x", type="tmpfs", options=tuple(options)))
    for attr_set, attr_clr in ((words.attr_set, words.attr_clr), (words.recursive_set, words.recursive_clr)):
        assert not attr_set & attr_clr & ~MountAttr.ATIME
        assert not attr_set & MountAttr.ATIME or attr_clr & MountAttr.ATIME == MountAttr.ATIME
        newfs.classic(attr_set)


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        (("noatime", "nostrictatime"), MountAttr.NOATIME),
        (("noatime", "norelatime"), MountAttr.NOATIME),
        (("noatime", "atime"), MountAttr(0)),
        (("strictatime", "atime"), MountAttr.STRICTATIME),
        (("ro", "rrw"), MountAttr(0)),
        (("rro", "rw"), MountAttr(0)),
        (("rrw", "ro"), MountAttr.RDONLY),
    ],
)
def test_the_last_word_wins_and_takes_back_only_its_opposite(options: tuple[str, ...], attributes: MountAttr) -> None:
    assert meaning(Mount(destination="/x", options=options)).attr_set == attributes


def test_words_that_only_mount_2_knows_are_kept_apart() -> None:
    words = meaning(Mount(destination="/x", type="tmpfs", options=("silent", "iversion", "loud", "sync", "dirsync")))
    assert words.super_flags == MountFlags.I_VERSION
    assert words.super_words == ["sync", "dirsync"]


def test_commas_part_options_unless_something_is_quoted() -> None:
    options = ("size=1,mode=2,", 'context="a:b:c1,c2"', "lowerdir=/a\\,b")
    words = meaning(Mount(destination="/x", type="tmpfs", options=options))
    assert words.data == [("size", "1"), ("mode", "2"), ("context", '"a:b:c1,c2"'), ("lowerdir", "/a\\,b")]


@pytest.mark.parametrize(
    ("kind", "labelled"),
    [
        ("tmpfs", True),
        ("devpts", True),
        ("ext4", True),
        ("proc", False),
        ("sysfs", False),
        ("cgroup", False),
        ("mqueue", False),
    ],
)
def test_selinux_labels_go_to_the_file_systems_that_take_them(kind: str, labelled: bool) -> None:
    """config-linux.md#mount-label"""
    mount, label = Mount(destination="/x", type=kind, options=("ro",)), "u:r:t:s0:c1,c2"
    words = meaning(mount)
    assert (("context", label) in list(newfs.options(mount, words, label))) is labelled
    assert (newfs.data(words, newfs.fs_type(mount), label) == f'context="{label}"') is labelled


def test_only_the_mount_of_a_file_system_that_others_see_is_read_only() -> None:
    """sysfs is one for all who share a network namespace."""
    for kind, told in (("ext4", True), ("sysfs", False), ("proc", False), ("cgroup2", False), ("tmpfs", False)):
        mount = Mount(destination="/x", type=kind, options=("ro",))
        assert (("ro", None) in list(newfs.options(mount, meaning(mount), ""))) is told
