"""The options of `run`, as they are typed: what is right is understood, all else is one clear error."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_cli.options import devices, kernel, namespaces, pairs, privileges
from aethel_common import units
from aethel_common.errors import InvalidArgument

MIB = 1024 * 1024

PARSERS: dict[str, Callable[[str], Any]] = {
    "--device": devices.device,
    "--device-cgroup-rule": devices.rule,
    "--ulimit": kernel.ulimit,
    "--shm-size": kernel.shm_size,
    "--umask": kernel.umask,
    "--tmpfs": lambda text: kernel.tmpfs([text]),
    "--userns": namespaces.users,
    "--pid": lambda text: namespaces.share("--pid", text),
    "--security-opt": lambda text: privileges.security([text]),
    "--sysctl": lambda text: pairs.pairs("sysctl", [text], value_needed=True),
}
PIECES = st.sampled_from(
    "auto : = , / . .. - rwm a b c * size uidmapping gidmapping nofile 1 0 18446744073709551616 -1 64m 0777 ALL "
    "seccomp label user disable mask unmask no-new-privileges true é \0 \n host private container /dev/x".split(" ")
)


@pytest.mark.parametrize("option", PARSERS)
@given(text=st.one_of(st.text(), st.lists(PIECES, max_size=9).map("".join)))
def test_whatever_is_typed_is_understood_or_refused(option: str, text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        PARSERS[option](text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64m", 64 * MIB), ("64MB", 64 * MIB), ("64MiB", 64 * MIB), ("1.5g", 1536 * MIB), ("512", 512), ("8b", 8)],
)
def test_sizes(text: str, size: int) -> None:
    assert units.parse_bytes(text, "x") == size


@pytest.mark.parametrize("text", ["", "m", "-1", "1..5m", "64q", "1 2", "9e9", "9999999999999p", "٣"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidArgument, match="x: "):
        units.parse_bytes(text, "x")


@given(st.integers(0, 2**40), st.sampled_from("bkm"))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert units.parse_bytes(f"{number}{unit}", "x") == number * {"b": 1, "k": 1024, "m": MIB}[unit]


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/fuse", ("/dev/fuse", "/dev/fuse", "rwm")),
        ("/dev/fuse:r", ("/dev/fuse", "/dev/fuse", "r")),
        ("/dev/fuse:/dev/x", ("/dev/fuse", "/dev/x", "rwm")),
        ("/dev/fuse:/dev/x:rw", ("/dev/fuse", "/dev/x", "rw")),
    ],
)
def test_devices(text: str, device: tuple[str, str, str]) -> None:
    assert tuple(devices.device(text)) == device


@pytest.mark.parametrize(
    "text", ["", "fuse", "/dev/fuse:x", "/dev/fuse:/dev/x:", "/dev/fuse:/dev/x:rr", "/a:/b:r:w", "/dev/../x", "::"]
)
def test_bad_devices(text: str) -> None:
    with pytest.raises(InvalidArgument, match="--device"):
        devices.device(text)


def test_device_rules() -> None:
    assert devices.rule("c 10:229 rw") == ("c", 10, 229, "rw")
    assert devices.rule("a *:* m") == ("a", None, None, "m")
    for text in ("c 10:229", "d 1:1 r", "c 10:229 rwmx", "c 10:229  r", "c 1:1 rr", "c -1:1 r"):
        with pytest.raises(InvalidArgument, match="rule"):
            devices.rule(text)


def test_ulimits() -> None:
    assert kernel.ulimit("nofile=1024:2048") == ("nofile", 1024, 2048)
    assert kernel.ulimit("core=0") == ("core", 0, 0)
    assert kernel.ulimit("memlock=-1") == ("memlock", 2**64 - 1, 2**64 - 1)
    for text in ("nofile", "nofile=", "=1", "nofile=1:2:3", "nofile=-2", "NOFILE=1", f"nofile={2**64}"):
        with pytest.raises(InvalidArgument, match="--ulimit"):
            kernel.ulimit(text)


def test_tmpfs() -> None:
    assert kernel.tmpfs(["/run", "/x/y/:size=1m,exec"]) == {"/run": "", "/x/y": "size=1m,exec"}
    for texts in (["run"], ["/"], ["//"], [""], ["/a", "/a/"]):
        with pytest.raises(InvalidArgument, match="--tmpfs"):
            kernel.tmpfs(texts)


def test_umask() -> None:
    assert [kernel.umask(text) for text in ("", "0", "022", "0777", "77")] == [None, 0, 0o22, 0o777, 0o77]
    for text in ("8", "07777", "1777", "-1", "0x1", "u=rwx"):
        with pytest.raises(InvalidArgument, match="--umask"):
            kernel.umask(text)


def test_user_namespaces() -> None:
    assert namespaces.users("") == ("", 0, (), ())
    assert namespaces.users("host") == ("host", 0, (), ())
    assert namespaces.users("auto:size=1000,uidmapping=0:7:1,gidmapping=5:8:2") == (
        "auto",
        1000,
        ((0, 7, 1),),
        ((5, 8, 2),),
    )
    for text in ("auto:", "auto:size=0", "auto:size=", "auto:uidmapping=1:2", "auto:uidmapping=4294967296:1:1", "keep"):
        with pytest.raises(InvalidArgument, match="--userns"):
            namespaces.users(text)


@pytest.mark.parametrize("text", ["container:", "container", "Host", "hosts", "ns:/x"])
def test_bad_namespaces(text: str) -> None:
    with pytest.raises(InvalidArgument, match="--ipc"):
        namespaces.share("--ipc", text)


def test_security_options(tmp_path: Path) -> None:
    profile = tmp_path / "p.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    found = privileges.security(
        [
            "no-new-privileges",
            f"seccomp={profile}",
            "apparmor:mine",
            "label=type:spc_t",
            "label=level:s0:c1,c2",
            "mask=/a:/b",
            "unmask=/proc/*",
            "systempaths=unconfined",
        ]
    )
    assert found.no_new_privileges is True
    assert found.seccomp == profile.read_text()
    assert (found.apparmor, found.selinux) == ("mine", "system_u:system_r:spc_t:s0:c1,c2")
    assert (found.mask, found.unmask) == (["/a", "/b"], ["/proc/*", "ALL"])
    assert privileges.security(["no-new-privileges:false"]).no_new_privileges is False
    assert privileges.security([]).no_new_privileges is None
    assert privileges.security(["label=user:x", "label=disable"]).selinux == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no-new-privileges=maybe",
        "seccomp",
        "seccomp=/no/such/file",
        "seccomp=/",
        "seccomp=/dev/null",
        "seccomp=/bin/sh",
        "label=colour:red",
        "label=user:",
        "systempaths=confined",
        "mask=relative",
        "unmask=ALL:/a",
        "credentialspec=x",
    ],
)
def test_bad_security_options_are_named(text: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(f"--security-opt {text}")):
        privileges.security([text])
