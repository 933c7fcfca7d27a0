"""linux.seccomp of runtime-spec 1.3: what is read, and what is refused with its JSON path. config-linux.md#seccomp"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_common.errors import InvalidSpec
from aethel_run.spec.seccomp import Action, Architecture, Argument, Flag, Operator, Seccomp, Syscall, check

RULE = {"names": ["mknod"], "action": "SCMP_ACT_ALLOW"}
NOTIFY = {"names": ["mknod"], "action": "SCMP_ACT_NOTIFY"}


def document(**fields: Any) -> Seccomp:
    return msgspec.json.decode(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", **fields}), type=Seccomp)


def rule(**fields: Any) -> dict[str, Any]:
    return {"syscalls": [RULE, {**RULE, **fields}]}


def argument(**fields: Any) -> dict[str, Any]:
    return rule(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ", **fields}])


def test_every_field_is_read() -> None:
    seccomp = document(
        defaultErrnoRet=38,
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"],
        flags=["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        listenerPath="/run/agent.sock",
        listenerMetadata="for you",
        syscalls=[
            {
                "names": ["clone", "mknod"],
                "action": "SCMP_ACT_NOTIFY",
                "args": [{"index": 5, "value": 18446744073709551615, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}],
            }
        ],
        somethingNewer=True,
    )
    check(seccomp)
    assert seccomp == Seccomp(
        default_action=Action.ERRNO,
        default_errno_ret=38,
        architectures=(Architecture.X86_64, Architecture.S390X),
        flags=(Flag.LOG, Flag.WAIT_KILLABLE_RECV),
        listener_path="/run/agent.sock",
        listener_metadata="for you",
        syscalls=(
            Syscall(
                names=("clone", "mknod"),
                action=Action.NOTIFY,
                args=(Argument(index=5, value=(1 << 64) - 1, value_two=7, op=Operator.MASKED_EQ),),
            ),
        ),
    )
    assert msgspec.json.decode(msgspec.json.encode(seccomp), type=Seccomp) == seccomp


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"defaultAction": "SCMP_ACT_MAYBE"}, r"\$\.defaultAction"),
        ({"architectures": ["SCMP_ARCH_PDP11"]}, r"\$\.architectures\[0\]"),
        ({"flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}, r"\$\.flags\[0\]"),
        (rule(action="ALLOW"), r"\$\.syscalls\[1\]\.action"),
        (rule(names="mknod"), r"\$\.syscalls\[1\]\.names"),
        (argument(op="SCMP_CMP_ABOUT"), r"\$\.syscalls\[1\]\.args\[0\]\.op"),
        (argument(value="1"), r"\$\.syscalls\[1\]\.args\[0\]\.value"),
    ],
)
def test_words_that_are_not_the_specifications_are_refused_by_path(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        document(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1},
            r"^linux\.seccomp\.defaultErrnoRet: SCMP_ACT_ALLOW",
        ),
        ({"defaultErrnoRet": 4096}, "defaultErrnoRet: 4096"),
        ({"defaultErrnoRet": -1}, "defaultErrnoRet: -1"),
        (rule(errnoRet=1), r"syscalls\[1\]\.errnoRet: SCMP_ACT_ALLOW"),
        (rule(action="SCMP_ACT_KILL", errnoRet=0), r"syscalls\[1\]\.errnoRet: SCMP_ACT_KILL"),
        (rule(action="SCMP_ACT_TRACE", errnoRet=65536), r"syscalls\[1\]\.errnoRet: 65536"),
        (rule(names=[]), r"syscalls\[1\]\.names"),
        (rule(names=["mknod", ""]), r"syscalls\[1\]\.names"),
        (argument(index=6), r"syscalls\[1\]\.args\[0\]\.index: 6"),
        (argument(index=-1), r"args\[0\]\.index: -1"),
        (argument(value=-1), r"args\[0\]\.value: -1"),
        (argument(value=1 << 64), r"args\[0\]\.value: 18446744073709551616"),
        (argument(valueTwo=1 << 64), r"args\[0\]\.valueTwo"),
        ({"listenerMetadata": "x"}, r"listenerMetadata: needs listenerPath"),
        ({"syscalls": [NOTIFY]}, r"syscalls\[0\]\.action: SCMP_ACT_NOTIFY needs listenerPath"),
        ({"syscalls": [NOTIFY], "listenerPath": "agent.sock"}, "absolute"),
        ({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}, r"defaultAction: SCMP_ACT_NOTIFY"),
        ({"syscalls": [{**NOTIFY, "names": ["read", "write"]}], "listenerPath": "/x"}, r"syscalls\[0\].*write"),
        ({"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}, r"flags: .*WAIT_KILLABLE_RECV"),
    ],
)
def test_what_breaks_a_rule_between_fields_is_refused_by_path(fields: dict[str, Any], words: str) -> None:
    with pytest.raises((InvalidSpec, msgspec.ValidationError), match=words):
        check(document(**fields))


def test_the_path_is_the_callers() -> None:
    with pytest.raises(InvalidSpec, match=r"^profile\.json\.listenerMetadata"):
        check(document(listenerMetadata="x"), "profile.json")


def test_a_listener_that_nobody_needs_is_ignored() -> None:
    check(document(listenerPath="/run/agent.sock"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["defaultAction", "syscalls", "names", "action", "args", "index", "value", "op", "flags"]
                ),
                inner,
            )
        ),
    )
)
def test_nonsense_is_refused_and_never_more(value: Any) -> None:
    try:
        check(msgspec.json.decode(msgspec.json.encode(value), type=Seccomp))
    except (msgspec.ValidationError, InvalidSpec):
        pass
    except msgspec.DecodeError:
        pass
