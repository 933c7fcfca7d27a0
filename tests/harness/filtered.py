"""A forked child under a filter: what its calls answered, and how it ended."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from aethel_common.linux import processes, seccomp
from aethel_run.seccomp.compile import Filter

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Ended:
    """Of a child: what its action returned (None if it did not get that far), and the signal or exit code."""

    result: object
    signal: int
    code: int


def call(number: int, *arguments: int) -> int:
    """A system call by its number: the result, or minus the errno."""
    result = int(_libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(argument) for argument in arguments)))
    return -ctypes.get_errno() if result == -1 else result


def call_i386(number: int, argument: int) -> int:
    """A system call of i386, made from a 64-bit process as anybody can: int 0x80."""
    immediate = [value.to_bytes(4, "little") for value in (number, argument)]
    code = b"\x53\xb8%b\xbb%b\x31\xc9\x31\xd2\xcd\x80\x5b\xc3" % tuple(immediate)  # push rbx; eax, ebx; ecx = edx = 0
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as memory:
        memory.write(code)
        view = ctypes.c_char.from_buffer(memory)
        result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(view))()
        del view
    return result


def run(compiled: Filter, action: Callable[[], object], *, no_new_privs: bool = True) -> Ended:
    """Fork, filter, act. The result goes through JSON, by write(2) and exit_group(2): the filter must allow these."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGSYS, signal.SIG_DFL)
            if no_new_privs:
                processes.set_no_new_privs()
            seccomp.set_mode_filter(compiled.program, compiled.flags)
            os.write(writing, json.dumps(action()).encode())
        except OSError as error:
            os.write(writing, json.dumps(["OSError", error.errno]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Ended(json.loads(told) if told else None, max(-status, 0), max(status, 0))
