"""The filter that is compiled before a container waits is the one that it then asks for."""

from __future__ import annotations

import platform

import msgspec
import pytest

from aethel_d.engine import privileges
from aethel_d.engine.asked import Privileges
from aethel_run.process import filters
from aethel_run.seccomp.profile import default_profile
from aethel_run.spec.load import decode, encode
from aethel_run.spec.template import DEFAULT_CAPABILITIES, default_spec


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no tables for this machine")
def test_the_usual_container_finds_its_filter_compiled() -> None:
    machine = platform.machine()
    rehearsed = filters.of_profile(default_profile(frozenset(DEFAULT_CAPABILITIES), machine), machine)
    asked = default_profile(frozenset(privileges.capabilities(Privileges())), machine)
    plain = default_spec()
    linux = msgspec.structs.replace(plain.linux, seccomp=asked)
    sent = encode(msgspec.structs.replace(plain, linux=linux))
    assert filters.compiled(decode(sent)) is rehearsed
