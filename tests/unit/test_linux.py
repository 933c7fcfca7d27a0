"""The kernel's door: a failure is an error, whatever the C function returns it as."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_common.linux import capabilities, netlink, resources, rtmessages, scheduling
from aethel_common.linux.netlink import Rtnetlink
from aethel_common.linux.resources import Rlimit
from aethel_common.linux.scheduling import IoPriorityClass, MemoryPolicyFlags, MemoryPolicyMode, SchedPolicy

_NOBODY = 2**31 - 1
"""The number of no process."""


def test_a_failing_function_of_libc_is_an_error() -> None:
    """prctl and prlimit return an int, whose -1 is not the -1 of a long."""
    with pytest.raises(OSError, match=r"prctl\(2\)"):
        capabilities._prctl(12345, 0, 0, 0, 0)
    with pytest.raises(OSError, match=r"prlimit\(2\)"):
        resources.set_limit(0, Rlimit.RLIMIT_CORE, 2, 1)


def test_what_this_kernel_does_not_know_is_in_no_set() -> None:
    known = capabilities.supported()
    assert not capabilities.has_bounding(63)
    assert known[0] is capabilities.Capability.CAP_CHOWN
    assert list(known) == list(capabilities.Capability)[: len(known)]
    assert capabilities.bounding() & ~capabilities.mask(known) == 0


def test_the_sets_are_those_that_the_kernel_tells() -> None:
    with open("/proc/self/status", encoding="ascii") as file:
        told = {line[3:6]: int(line.split()[1], 16) for line in file if line.startswith("Cap")}
    assert capabilities.capget() == (told["Eff"], told["Prm"], told["Inh"])
    assert capabilities.bounding() == told["Bnd"]


def test_a_limit_is_read_as_it_was_set() -> None:
    soft, hard = resources.get_limit(0, Rlimit.RLIMIT_CORE)
    resources.set_limit(0, Rlimit.RLIMIT_CORE, soft, hard)
    assert resources.get_limit(0, Rlimit.RLIMIT_CORE) == (soft, hard)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: scheduling.sched_setattr(0, SchedPolicy.SCHED_ISO), r"sched_setattr\(2\): Invalid"),
        (
            lambda: scheduling.ioprio_set(_NOBODY, IoPriorityClass.IOPRIO_CLASS_BE, 4),
            r"ioprio_set\(2\): No such process",
        ),
        (lambda: scheduling.set_mempolicy(MemoryPolicyMode.MPOL_BIND, MemoryPolicyFlags(0), ()), r"set_mempolicy\(2\)"),
    ],
)
def test_each_call_is_the_one_that_it_says(call: object, words: str) -> None:
    with pytest.raises(OSError, match=words):
        call()  # type: ignore[operator]


# -- rtnetlink: every length is checked (CVE-2021-43784)


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=300), max_size=8))
def test_attributes_come_back(attributes: dict[int, bytes]) -> None:
    data = b"".join(rtmessages.attribute(kind, value) for kind, value in attributes.items())
    assert len(data) % 4 == 0
    assert rtmessages.attributes(data) == attributes


@given(st.binary(max_size=200))
def test_no_bytes_are_read_that_are_not_there(data: bytes) -> None:
    """CVE-2021-43784: nonsense is an error, or is read as what it is; never an endless loop."""
    for read in (rtmessages.attributes, lambda data: list(rtmessages.messages(data)), netlink._link, netlink._address):
        _read(read, data)


def _read(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except OSError as error:
        if error.errno != errno.EBADMSG:
            raise


def test_cve_2021_43784_a_value_too_long_for_its_length_is_refused() -> None:
    with pytest.raises(OSError, match="Message too long"):
        rtmessages.attribute(1, b"x" * 0xFFFC)
    assert rtmessages.attributes(rtmessages.attribute(1, b"x" * 0xFFFB)) == {1: b"x" * 0xFFFB}


def test_links_of_this_namespace() -> None:
    """Needs no privilege to look."""
    with Rtnetlink() as rtnetlink:
        loopback = rtnetlink.link("lo")
        assert loopback in rtnetlink.links()
        assert loopback.name == "lo"
        with pytest.raises(OSError, match="RTM_GETLINK: No such device"):
            rtnetlink.link("no-such-link")
        for name in ("", "x" * 16, "x" * 70000):
            with pytest.raises(OSError, match="1 to 15 bytes"):
                rtnetlink.set_up(name)
