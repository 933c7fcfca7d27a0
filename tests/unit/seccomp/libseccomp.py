"""libseccomp through ctypes: the same document, put to it as runc does."""

from __future__ import annotations

import ctypes
import os
import struct

from aethel_run.seccomp.assembler import Instruction
from aethel_run.spec.seccomp import Architecture, Argument, Operator, Seccomp
from tests.unit.seccomp import evaluator

_OPERATOR = {operator: number for number, operator in enumerate(Operator, start=1)}  # in the order of <seccomp.h>
_ARCHITECTURE = {
    Architecture.X86: 0x40000003,
    Architecture.X32: 0x4000003E,
    Architecture.X86_64: 0xC000003E,
    Architecture.ARM: 0x40000028,
    Architecture.AARCH64: 0xC00000B7,
}
_ACT_BADARCH, _OPTIMIZE = 2, 8
_UNKNOWN = -1


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def load() -> ctypes.CDLL | None:
    """The library, or None where it is not installed."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    for name, types in {
        "seccomp_init": (ctypes.c_uint32,),
        "seccomp_release": (ctypes.c_void_p,),
        "seccomp_arch_add": (ctypes.c_void_p, ctypes.c_uint32),
        "seccomp_arch_remove": (ctypes.c_void_p, ctypes.c_uint32),
        "seccomp_attr_set": (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32),
        "seccomp_export_bpf": (ctypes.c_void_p, ctypes.c_int),
        "seccomp_rule_add_array": (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p),
    }.items():
        getattr(library, name).argtypes = types
    return library


def compile_profile(library: ctypes.CDLL, seccomp: Seccomp, native: Architecture) -> tuple[Instruction, ...]:
    """Its program for the document."""
    default = evaluator.answer(seccomp.default_action, seccomp.default_errno_ret)
    context = library.seccomp_init(default)
    try:
        _check(library.seccomp_attr_set(context, _ACT_BADARCH, evaluator.KILL_PROCESS))
        for architecture in {native, *seccomp.architectures} - {Architecture.X86_64}:
            _check(library.seccomp_arch_add(context, _ARCHITECTURE[architecture]))
        if native is not Architecture.X86_64 and Architecture.X86_64 not in seccomp.architectures:
            _check(library.seccomp_arch_remove(context, _ARCHITECTURE[Architecture.X86_64]))
        _check(library.seccomp_attr_set(context, _OPTIMIZE, 2))
        for rule in seccomp.syscalls:
            answer = evaluator.answer(rule.action, rule.errno_ret)
            if answer != default:
                for name in rule.names:
                    _add(library, context, answer, name, rule.args)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: int, answer: int, name: str, args: tuple[Argument, ...]) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == _UNKNOWN:
        return
    twice = len({argument.index for argument in args}) < len(args)
    for together in [(argument,) for argument in args] if twice else [args]:
        compares = [_Compare(each.index, _OPERATOR[each.op], each.value, each.value_two) for each in together]
        array = (_Compare * len(compares))(*compares)
        _check(library.seccomp_rule_add_array(context, answer, number, len(compares), array))


def _export(library: ctypes.CDLL, context: int) -> tuple[Instruction, ...]:
    fd = os.memfd_create("filter")
    try:
        _check(library.seccomp_export_bpf(context, fd))
        size = os.lseek(fd, 0, os.SEEK_END)
        return tuple(Instruction(*fields) for fields in struct.iter_unpack("=HBBI", os.pread(fd, size, 0)))
    finally:
        os.close(fd)


def _check(result: int) -> None:
    if result:
        raise OSError(-result, os.strerror(-result))
