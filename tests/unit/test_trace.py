"""A told call reads as the manual page writes it, and one that nobody listens to costs nothing."""

from __future__ import annotations

import ctypes
import importlib
import os
import pkgutil
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import aethel_common.linux
from aethel_common.linux import calls, capabilities, namespaces, paths, processes, resources
from aethel_common.linux.capabilities import Capability
from aethel_common.linux.mounts import FsConfig, MountAttr, MountFlags, MoveMount, OpenTree, UmountFlags
from aethel_common.linux.namespaces import CloneFlags
from aethel_common.linux.paths import Open, Resolve
from aethel_common.linux.resources import Rlimit
from aethel_common.linux.symbols import Flags, Number
from aethel_common.linux.trace import AT_FDCWD, Fd, Record, Word, show, trace

HEADERS = ("linux", "asm-generic", "x86_64-linux-gnu/sys", "aarch64-linux-gnu/sys", "sys")
DEFINITION = re.compile(
    r"^\s*(?:#\s*define\s+)?([A-Z]\w+)[ \t=]+(0x[0-9a-fA-F]+|\d+|\(1\s*<<\s*\d+\))(?=[\s,]|$)", re.MULTILINE
)


@pytest.fixture
def told() -> Iterator[list[Record]]:
    found: list[Record] = []
    trace.sink = found.append
    yield found
    trace.sink = None


def _number(text: str) -> int:
    return int(text, 0 if "x" in text or text[0] != "0" else 8)


def symbols() -> list[Flags | Number]:
    for module in pkgutil.iter_modules(aethel_common.linux.__path__):
        importlib.import_module(f"aethel_common.linux.{module.name}")
    return [member for base in (Flags, Number) for kind in base.__subclasses__() for member in kind]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (b"/a b", '"/a b"'),
        ('say "x"\\\n\0', '"say \\"x\\"\\\\\\n\\0"'),
        ("x" * 300, '"' + "x" * 120 + '"...'),
        (-100, "-100"),
        (Fd(AT_FDCWD), "AT_FDCWD"),
        (Fd(12345), "12345"),
        (Word("SIGHUP"), "SIGHUP"),
        ((1, "a"), '[1, "a"]'),
        (MountFlags.NOSUID | MountFlags.NODEV, "MS_NOSUID|MS_NODEV"),
        (MountFlags(0), "0"),
        (MountFlags(0x40000000 | 1), "MS_RDONLY|0x40000000"),
        (UmountFlags.DETACH, "MNT_DETACH"),
        (OpenTree.CLONE | OpenTree.CLOEXEC | OpenTree.RECURSIVE, "OPEN_TREE_CLONE|AT_RECURSIVE|OPEN_TREE_CLOEXEC"),
        (MoveMount.F_EMPTY_PATH, "MOVE_MOUNT_F_EMPTY_PATH"),
        (MountAttr.ATIME | MountAttr.RDONLY, "MOUNT_ATTR_RDONLY|MOUNT_ATTR__ATIME"),
        (MountAttr.NOATIME | MountAttr.NODIRATIME, "MOUNT_ATTR_NOATIME|MOUNT_ATTR_NODIRATIME"),
        (FsConfig.CMD_CREATE, "FSCONFIG_CMD_CREATE"),
        (CloneFlags.NEWPID | CloneFlags.INTO_CGROUP, "CLONE_NEWPID|CLONE_INTO_CGROUP"),
        (Open(os.O_RDONLY), "O_RDONLY"),
        (Open(os.O_PATH | os.O_DIRECTORY), "O_DIRECTORY|O_PATH"),
        (Resolve.IN_ROOT, "RESOLVE_IN_ROOT"),
        (Capability.CAP_CHOWN, "CAP_CHOWN"),
        (Rlimit.RLIMIT_NOFILE, "RLIMIT_NOFILE"),
    ],
)
def test_an_argument_is_shown_as_c_has_it(value: object, text: str) -> None:
    assert show(value) == text


def test_every_symbol_has_a_name_of_c() -> None:
    found = symbols()
    assert len(found) > 150
    for symbol in found:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", show(symbol)), repr(symbol)


@pytest.mark.skipif(not Path("/usr/include/linux/mount.h").exists(), reason="the kernel's headers are not installed")
def test_names_and_numbers_are_those_of_the_headers() -> None:
    defined: dict[str, set[int]] = {}
    for folder in HEADERS:
        for path in Path("/usr/include", folder).glob("*.h"):
            # As macros, and as members of an enum that are given a number.
            for name, text in DEFINITION.findall(path.read_text(errors="replace")):
                one, shift, bits = text.strip("()").partition("<<")
                defined.setdefault(name, set()).add(int(one, 0) << int(bits) if shift else _number(one))
    # O_ numbers differ between architectures, and are taken from `os`.
    checked = [symbol for symbol in symbols() if show(symbol) in defined and not isinstance(symbol, Open)]
    assert len(checked) > 90
    assert [repr(symbol) for symbol in checked if int(symbol) not in defined[show(symbol)]] == []


def test_a_structure_is_shown_by_its_fields(told: list[Record], tmp_path: Path) -> None:
    root = os.open(tmp_path, os.O_PATH)
    with pytest.raises(FileNotFoundError):
        paths.open_in_root(root, "/nope", os.O_PATH)
    os.close(root)
    assert told[0].name == "openat2"
    assert told[0].arguments == (
        f"{root}<{tmp_path}>",
        '"/nope"',
        "{flags=O_CLOEXEC|O_PATH, resolve=RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT}",
        "24",
    )
    assert (told[0].result, told[0].errno_name) == (-1, "ENOENT")
    assert told[0].took_ns > 0


def test_a_structure_that_the_kernel_fills_in_is_shown_filled_in(told: list[Record]) -> None:
    capabilities.capget()
    permitted = [f"permitted={show(Capability.CAP_CHOWN)}", "permitted=(all)", "permitted=0"]
    assert any(text in told[0].arguments[1] for text in permitted)


def test_zeros_that_mean_nothing_are_left_out_of_prctl(told: list[Record]) -> None:
    processes.set_process_name("pytest")
    processes.set_dumpable(True)
    capabilities.has_bounding(Capability.CAP_CHOWN)
    assert [record.arguments for record in told] == [
        ("PR_SET_NAME", '"pytest"'),
        ("PR_SET_DUMPABLE", "1"),
        ("PR_CAPBSET_READ", "CAP_CHOWN"),
    ]


def test_clone3_is_told_by_the_parent(told: list[Record]) -> None:
    pid, pidfd = namespaces.clone3(CloneFlags(0))
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    assert told[0].arguments[0] == f"{{flags=CLONE_PIDFD, pidfd=[{pidfd}], exit_signal=SIGCHLD}}"
    assert told[0].result == pid


def test_what_the_standard_library_calls_is_told_too(told: list[Record], tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    calls.mkdir("d", 0o755, dir_fd=directory)
    calls.symlink("/x", "l", dir_fd=directory)
    calls.write_file("/proc/self/comm", b"pytest\n")
    calls.default_action(signal.SIGUSR1)
    with pytest.raises(FileNotFoundError):
        calls.execve("/nope", ["nope", "-x"], {"SECRET": "s"})
    os.close(directory)
    assert [(record.name, *record.arguments) for record in told[:2]] == [
        ("mkdirat", f"{directory}<{tmp_path}>", '"d"', "0755"),
        ("symlinkat", '"/x"', f"{directory}<{tmp_path}>", '"l"'),
    ]
    assert [record.name for record in told[2:]] == ["openat", "write", "rt_sigaction", "execve", "execve"]
    assert told[4].arguments == ("SIGUSR1", "{sa_handler=SIG_DFL}")
    assert told[5].arguments == ('"/nope"', '["nope", "-x"]', "/* 1 variables */")
    assert [record.result for record in told[5:]] == [None, -1]


def test_nothing_is_told_when_nobody_listens(tmp_path: Path) -> None:
    assert trace.sink is None
    told: list[Record] = []
    trace.sink = told.append
    trace.sink = None
    resources.get_limit(0, Rlimit.RLIMIT_CORE)
    calls.write_file("/proc/self/comm", b"pytest\n")
    assert told == []


def test_two_users_of_a_c_function_have_types_of_their_own() -> None:
    """A shared function object would check one's arguments against the other's types."""
    assert processes._prctl._function is not capabilities._prctl._function
    assert processes._prctl_set_name._function.argtypes == (ctypes.c_int, ctypes.c_void_p)
