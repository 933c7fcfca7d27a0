"""The end of init: its descriptors, its signals, and the program it becomes."""

from __future__ import annotations

import errno
import os
import signal
import stat
import struct
from typing import Final, NoReturn

from aethel_common.errors import CannotExecute, CommandNotFound
from aethel_common.linux import calls, processes
from aethel_run.init.context import Init
from aethel_run.init.step import step

_PT_INTERP: Final = 3


@step(man="dup2(2)", when=lambda init: init.stdio is not None, only="without a terminal")
def connect_stdio(init: Init) -> None:
    """Make the container's end of each pipe its 0, 1 and 2."""
    assert init.stdio is not None
    # Above the three first: one of them may be another's target.
    high = [calls.duplicate_above(fd, 3) for fd in init.stdio]
    for target, fd in enumerate(high):
        calls.dup2(fd, target)


@step(man="signal(7) sigprocmask(2)")
def reset_signals(init: Init) -> None:
    """Give every signal its default action: the interpreter ignores SIGPIPE, and a program would inherit that."""
    for number in range(1, signal.NSIG):
        # Those that are caught are reset by execve itself.
        if signal.getsignal(number) is signal.SIG_IGN:
            calls.default_action(number)
    calls.unblock_signals()


@step(man="close_range(2)")
def close_descriptors(init: Init) -> None:
    """Have every other descriptor closed by execve; that also tells the parent that it happened."""
    processes.set_cloexec_from(3 + init.preserved_fds)


@step(man="execve(2)")
def execute(init: Init) -> None:
    """Become the user's program."""
    arguments = list(init.process.args)
    environment = dict(entry.partition("=")[::2] for entry in init.process.env)
    path = _find(arguments[0], environment.get("PATH", ""))
    try:
        calls.execve(path, arguments, environment)
    except OSError as error:
        _explain(path, error)


def _find(command: str, search_path: str) -> str:
    """The file that `command` means, in the container's own PATH. Raises CommandNotFound, CannotExecute."""
    if "/" in command:
        return command
    refused = ""
    for directory in search_path.split(":"):
        candidate = f"{directory or '.'}/{command}"
        if os.path.isdir(candidate):
            continue
        if os.access(candidate, os.X_OK):
            return candidate
        if os.path.exists(candidate):
            refused = refused or candidate
    if refused:
        raise CannotExecute(f"{refused}: permission denied")
    raise CommandNotFound(f"{command}: executable file not found in the container's $PATH")


def _explain(path: str, error: OSError) -> NoReturn:
    """execve says ENOENT for a missing interpreter too, which has cost many an hour: look, and say which it is."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        missing = _missing_interpreter(path)
        if missing is not None:
            raise CommandNotFound(f"{path}: its interpreter {missing} is not in the image") from error
        raise CommandNotFound(f"{path}: no such file or directory in the container") from error
    if os.path.isdir(path):
        # With the kernel's own words too: callers of a runtime look for them.
        raise CannotExecute(f"{path}: permission denied: is a directory") from error
    if error.errno == errno.ENOEXEC:
        raise CannotExecute(f"{path}: is neither a program of this architecture nor a script with #!") from error
    raise CannotExecute(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _missing_interpreter(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            head = file.read(4096)
    except OSError:
        return None
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n")[0].strip(b" \t").split(b" ")
        name = words[0].decode(errors="replace") or "(none named)"
        return f"{name[:-1]!r} (the line ends with a carriage return)" if name.endswith("\r") else repr(name)
    return _elf_interpreter(head)


def _elf_interpreter(head: bytes) -> str | None:
    """The loader that a 64-bit little-endian ELF file asks for. man 5 elf"""
    if head[:6] != b"\x7fELF\x02\x01":
        return None
    table, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    for index in range(count):
        at = table + index * size
        if at + 40 > len(head):
            return None
        if struct.unpack_from("<I", head, at)[0] == _PT_INTERP:
            offset, length = struct.unpack_from("<Q", head, at + 8)[0], struct.unpack_from("<Q", head, at + 32)[0]
            return repr(head[offset : offset + length].rstrip(b"\0").decode(errors="replace"))
    return None
