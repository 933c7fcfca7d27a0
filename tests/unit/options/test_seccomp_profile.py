"""A user's seccomp profile: OCI's form as it is, Docker's as it applies here."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_common.errors import InvalidArgument
from aethel_d.engine.seccomp import Machine, profile
from aethel_run.spec.seccomp import Action, Architecture

HERE = Machine(architecture="x86_64", release="6.1.0-13-amd64")


def docker(**rule: Any) -> str:
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "archMap": [
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            ],
            "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "comment": "", "args": None, **rule}],
        }
    )


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({}, True),
        ({"includes": {}, "excludes": {}}, True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, False),
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"excludes": {"caps": ["CAP_CHOWN"]}}, False),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["s390", "s390x"]}}, True),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.10"}}, False),
        ({"excludes": {"minKernel": "4.8"}}, False),
    ],
)
def test_a_rule_of_docker_s_applies_where_it_says(rule: dict[str, Any], applies: bool) -> None:
    found = profile(docker(**rule), frozenset({"CAP_CHOWN"}), HERE)
    assert [each.names for each in found.syscalls] == ([("mount",)] if applies else [])
    assert found.architectures == (Architecture.X86_64, Architecture.X86)
    assert (found.default_action, found.default_errno_ret) == (Action.ERRNO, 1)


def test_oci_s_form_is_taken_as_it_is() -> None:
    text = json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {
                    "names": ["mkdir"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 95,
                    "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
                }
            ],
        }
    )
    found = profile(text, frozenset(), HERE)
    assert found.architectures == (Architecture.X86_64,)
    assert (found.syscalls[0].errno_ret, found.syscalls[0].args[0].value_two) == (95, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "seccomp profile"),
        ("[]", "seccomp profile"),
        ("{}", "defaultAction"),
        ('{"defaultAction": "SCMP_ACT_NOPE"}', "defaultAction"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ERRNO"}]}', "names"),
        (
            '{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], '
            '"archMap": [{"architecture": "SCMP_ARCH_X86"}]}',
            "exclude each other",
        ),
    ],
)
def test_a_bad_profile_says_where(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        profile(text, frozenset(), HERE)


KEYS = st.sampled_from(["defaultAction", "syscalls", "names", "includes", "minKernel"])
DOCUMENTS = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)
)


@given(st.text() | DOCUMENTS.map(json.dumps))
def test_whatever_a_profile_holds_it_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        profile(text, frozenset(), HERE)
