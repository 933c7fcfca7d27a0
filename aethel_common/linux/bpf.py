"""Programs that decide on a cgroup's use of devices. man 2 bpf, linux/bpf.h"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

from aethel_common.linux._libc import Syscall
from aethel_common.linux.symbols import Flags, Number

_NR_BPF: Final = {"x86_64": 321}.get(os.uname().machine, 280)


class _Command(Number, prefix="BPF_"):
    """enum bpf_cmd"""

    PROG_LOAD = 5
    PROG_ATTACH = 8
    PROG_DETACH = 9
    PROG_GET_FD_BY_ID = 13
    PROG_QUERY = 16


_PROG_TYPE_CGROUP_DEVICE: Final = 15
_CGROUP_DEVICE: Final = 6
"""BPF_CGROUP_DEVICE of enum bpf_attach_type."""
INSTRUCTION_BYTES: Final = 8
_LOG_BYTES: Final = 64 * 1024
_MOST_PROGRAMS: Final = 64
"""BPF_CGROUP_MAX_PROGS of linux/bpf-cgroup.h."""


class Attach(Flags, prefix="BPF_F_"):
    """For BPF_PROG_ATTACH."""

    ALLOW_MULTI = 2
    REPLACE = 4


_bpf: Final = Syscall("bpf", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, number=_NR_BPF)


def load_device_program(instructions: bytes, name: str) -> int:
    """Have the kernel verify a BPF_PROG_TYPE_CGROUP_DEVICE program; a descriptor of it, the caller's.

    Raises OSError; a refused program's carries the verifier's log as a note.
    """
    try:
        return _load(instructions, name, None)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise
        log = ctypes.create_string_buffer(_LOG_BYTES)
        try:
            os.close(_load(instructions, name, log))
        except OSError:
            error.add_note(log.value.decode(errors="replace"))
        raise


def _load(instructions: bytes, name: str, log: ctypes.Array[ctypes.c_char] | None) -> int:
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_name = ctypes.create_string_buffer(b"MIT")
    attributes = struct.pack(
        "=IIQQIIQII16s",
        _PROG_TYPE_CGROUP_DEVICE,
        len(instructions) // INSTRUCTION_BYTES,
        ctypes.addressof(code),
        ctypes.addressof(license_name),
        0 if log is None else 1,
        0 if log is None else len(log),
        0 if log is None else ctypes.addressof(log),
        0,
        0,
        os.fsencode(name)[:15],
    )
    return _call(_Command.PROG_LOAD, attributes, name)


def attach_device_program(cgroup_fd: int, program_fd: int, flags: Attach, replaced_fd: int = 0) -> None:
    """Have every use of a device in that cgroup and below asked of it; with REPLACE, instead of another."""
    _call(_Command.PROG_ATTACH, struct.pack("=5I", cgroup_fd, program_fd, _CGROUP_DEVICE, int(flags), replaced_fd))


def detach_device_program(cgroup_fd: int, program_fd: int) -> None:
    """Ask it no more."""
    _call(_Command.PROG_DETACH, struct.pack("=4I", cgroup_fd, program_fd, _CGROUP_DEVICE, 0))


def attached_device_programs(cgroup_fd: int) -> list[int]:
    """The ids of those attached to that very cgroup. BPF_PROG_QUERY"""
    ids = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    query = struct.pack("=4IQII", cgroup_fd, _CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _MOST_PROGRAMS, 0)
    buffer = ctypes.create_string_buffer(query, len(query))
    _bpf(_Command.PROG_QUERY, ctypes.addressof(buffer), len(query))
    count = struct.unpack_from("=I", buffer, 24)[0]
    return list(ids[:count])


def open_program(program_id: int) -> int:
    """A descriptor of a program, the caller's. Raises FileNotFoundError when it is gone."""
    return _call(_Command.PROG_GET_FD_BY_ID, struct.pack("=3I", program_id, 0, 0))


def _call(command: _Command, attributes: bytes, about: str | None = None) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return _bpf(command, ctypes.addressof(buffer), len(attributes), about=about)
