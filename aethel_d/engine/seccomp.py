"""A seccomp profile that a user brings: OCI's form, or Docker's, whose rules depend on capabilities, machine and kernel."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from aethel_common.errors import InvalidArgument
from aethel_run.spec import seccomp as rules
from aethel_run.spec.seccomp import Action, Architecture, Argument, Flag, Seccomp, Syscall

_GO_ARCHITECTURES: Final[Mapping[str, tuple[str, Architecture]]] = {
    "x86_64": ("amd64", Architecture.X86_64),
    "aarch64": ("arm64", Architecture.AARCH64),
}
"""What Docker's profiles call a machine."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base: unknown fields are comments."""


class _Condition(_Part, frozen=True, kw_only=True):
    """All of `includes` must hold, and nothing of `excludes`."""

    caps: tuple[str, ...] | None = None
    arches: tuple[str, ...] | None = None
    min_kernel: str = ""


class _Rule(_Part, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    name: str = ""
    action: Action
    errno_ret: int | None = None
    args: tuple[Argument, ...] | None = None
    includes: _Condition | None = None
    excludes: _Condition | None = None


class _ArchMap(_Part, frozen=True, kw_only=True):
    architecture: Architecture
    sub_architectures: tuple[Architecture, ...] | None = None


class _Profile(_Part, frozen=True, kw_only=True):
    default_action: Action
    default_errno_ret: int | None = None
    arch_map: tuple[_ArchMap, ...] | None = None
    architectures: tuple[Architecture, ...] | None = None
    flags: tuple[Flag, ...] | None = None
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: tuple[_Rule, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the conditions of a profile are about; `architecture` and `release` as uname(2) has them."""

    architecture: str
    release: str


def this_machine() -> Machine:
    """The one that we are on."""
    host = os.uname()
    return Machine(architecture=host.machine, release=host.release)


def profile(text: str, capabilities: frozenset[str], machine: Machine) -> Seccomp:
    """The profile as this container gets it. Raises InvalidArgument, InvalidSpec (rules between its fields)."""
    try:
        given = msgspec.json.decode(text, type=_Profile)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidArgument(f"seccomp profile: {error}") from error
    if given.arch_map and given.architectures:
        raise InvalidArgument("seccomp profile: archMap and architectures exclude each other")
    found = Seccomp(
        default_action=given.default_action,
        default_errno_ret=given.default_errno_ret,
        architectures=_architectures(given, machine),
        flags=given.flags or (),
        listener_path=given.listener_path,
        listener_metadata=given.listener_metadata,
        syscalls=tuple(_rule(each) for each in given.syscalls or () if _applies(each, capabilities, machine)),
    )
    rules.check(found, "seccomp profile")
    return found


def _architectures(given: _Profile, machine: Machine) -> tuple[Architecture, ...]:
    own = _GO_ARCHITECTURES.get(machine.architecture, ("", None))[1]
    for each in given.arch_map or ():
        if each.architecture is own:
            return (each.architecture, *(each.sub_architectures or ()))
    return given.architectures or ()


def _rule(given: _Rule) -> Syscall:
    names = (given.name,) if given.name else given.names
    return Syscall(names=names, action=given.action, errno_ret=given.errno_ret, args=given.args or ())


def _applies(rule: _Rule, capabilities: frozenset[str], machine: Machine) -> bool:
    wanted, unwanted = rule.includes or _Condition(), rule.excludes or _Condition()
    own = _GO_ARCHITECTURES.get(machine.architecture, (machine.architecture, None))[0]
    if wanted.arches and own not in wanted.arches:
        return False
    if not capabilities.issuperset(wanted.caps or ()):
        return False
    if wanted.min_kernel and _version(machine.release) < _version(wanted.min_kernel):
        return False
    return not (
        own in (unwanted.arches or ())
        or capabilities.intersection(unwanted.caps or ())
        or (unwanted.min_kernel and _version(machine.release) >= _version(unwanted.min_kernel))
    )


def _version(text: str) -> tuple[int, int]:
    match = re.match(r"([0-9]{1,9})\.([0-9]{1,9})", text)
    if match is None:
        raise InvalidArgument(f"seccomp profile: {text!r} is not the version of a kernel")
    return int(match[1]), int(match[2])
