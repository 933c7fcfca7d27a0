"""The numbers of system calls are the kernel's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aethel_common.errors import Unsupported
from aethel_run.seccomp.tables import X32_BIT, architectures_of, numbers
from aethel_run.spec.seccomp import Architecture

INCLUDE = Path("/usr/include/x86_64-linux-gnu/asm")


@pytest.mark.parametrize(
    ("architecture", "header", "base"),
    [
        (Architecture.X86_64, "unistd_64.h", 0),
        (Architecture.X86, "unistd_32.h", 0),
        (Architecture.X32, "unistd_x32.h", X32_BIT),
    ],
)
def test_each_call_of_the_installed_headers_has_its_number(architecture: Architecture, header: str, base: int) -> None:
    path = INCLUDE / header
    if not path.exists():
        pytest.skip(f"{path} is not installed (linux-libc-dev)")
    defined = re.findall(r"#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ )?(\d+)\)?$", path.read_text(), re.MULTILINE)
    assert len(defined) > 300
    table = numbers(architecture)
    for name, number in defined:
        assert table[name] == base + int(number), name


@pytest.mark.parametrize(
    ("architecture", "known"),
    [
        (Architecture.X86_64, {"read": 0, "execve": 59, "uretprobe": 335, "clone3": 435, "file_setattr": 469}),
        (Architecture.X86, {"exit": 1, "socketcall": 102, "futex_time64": 422, "clone3": 435}),
        (Architecture.X32, {"read": X32_BIT, "execve": X32_BIT + 520, "clone3": X32_BIT + 435}),
        (Architecture.AARCH64, {"io_setup": 0, "newfstatat": 79, "mmap": 222, "seccomp": 277, "kexec_file_load": 294}),
        (Architecture.ARM, {"read": 3, "arm_sync_file_range": 341, "sync_file_range2": 341, "set_tls": 0xF0005}),
    ],
)
def test_numbers_that_anybody_can_look_up(architecture: Architecture, known: dict[str, int]) -> None:
    table = numbers(architecture)
    assert {name: table[name] for name in known} == known


def test_no_two_names_of_an_architecture_share_a_number_but_arms_alias() -> None:
    for architecture in (Architecture.X86_64, Architecture.X86, Architecture.AARCH64, Architecture.ARM):
        table = numbers(architecture)
        doubles = {name for name, number in table.items() if list(table.values()).count(number) > 1}
        assert doubles <= {"arm_sync_file_range", "sync_file_range2"}


def test_a_machine_comes_before_what_else_it_can_run() -> None:
    assert architectures_of("x86_64")[0] is Architecture.X86_64
    assert architectures_of("aarch64") == (Architecture.AARCH64, Architecture.ARM)
    with pytest.raises(Unsupported, match="pdp11"):
        architectures_of("pdp11")
