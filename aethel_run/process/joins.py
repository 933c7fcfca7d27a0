"""The namespaces of others that a container is to join: opened, and checked for what they are. man 2 ioctl_nsfs"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux import namespaces
from aethel_common.linux.namespaces import CloneFlags
from aethel_run.spec.linux import CLONE_FLAG, Linux, Namespace, NamespaceType

_PROC_NAMES: Final = {
    "user": CloneFlags.NEWUSER,
    "mnt": CloneFlags.NEWNS,
    "pid": CloneFlags.NEWPID,
    "net": CloneFlags.NEWNET,
    "ipc": CloneFlags.NEWIPC,
    "uts": CloneFlags.NEWUTS,
    "cgroup": CloneFlags.NEWCGROUP,
    "time": CloneFlags.NEWTIME,
}
"""man 5 proc_pid_ns"""


@dataclass(frozen=True, slots=True)
class Join:
    """An open namespace; `path` is what errors call it."""

    fd: int
    kind: CloneFlags
    path: str


@contextmanager
def opened(linux: Linux) -> Iterator[tuple[Join, ...]]:
    """Those that the document names by path, open while the block lasts.

    Raises InvalidSpec when one is not there or of another kind: config-linux.md#namespaces asks for an error.
    """
    joins: list[Join] = []
    try:
        for index, namespace in enumerate(linux.namespaces):
            if namespace.path:
                joins.append(_open(namespace, f"linux.namespaces[{index}].path"))
        yield tuple(joins)
    finally:
        for join in joins:
            os.close(join.fd)


def enter(joins: tuple[Join, ...]) -> None:
    """Join all of them in this process (its children, for PID and time). man 2 setns

    With our own privileges where these reach, and the rest once the user namespace that owns it is joined.
    """
    users = [join for join in joins if join.kind is CloneFlags.NEWUSER]
    others = [join for join in joins if join.kind is not CloneFlags.NEWUSER]
    refused = [join for join in others if not _joined(join, may_fail=bool(users))]
    for join in (*users, *refused):
        _joined(join, may_fail=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A process whose namespaces are to be joined; `kinds` are those that are not ours already."""

    pidfd: int
    kinds: CloneFlags


def target_of(pid: int, pidfd: int) -> Target:
    """That very process; the descriptor stays the caller's. Raises ProcessLookupError when it is gone."""
    kinds = CloneFlags(0)
    for name, flag in _PROC_NAMES.items():
        try:
            if os.stat(f"/proc/{pid}/ns/{name}").st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:
                kinds |= flag
        except FileNotFoundError:
            if not os.path.exists(f"/proc/self/ns/{name}"):
                continue  # a kernel without that kind
            raise ProcessLookupError(pid) from None
    return Target(pidfd, kinds)


def enter_target(target: Target) -> None:
    """Join all namespaces of a process at once (our children, for PID and time). man 2 setns

    As the host's root first, for whom namespaces of several owners are in reach; who is not root must first become it.
    """
    users = target.kinds & CloneFlags.NEWUSER
    others = target.kinds & ~CloneFlags.NEWUSER
    try:
        if others:
            namespaces.setns(target.pidfd, others)
        if users:
            namespaces.setns(target.pidfd, users)
    except PermissionError:
        namespaces.setns(target.pidfd, target.kinds)


def _joined(join: Join, *, may_fail: bool) -> bool:
    try:
        namespaces.setns(join.fd, join.kind)
    except OSError as error:
        if may_fail and error.errno == errno.EPERM:
            return False
        raise OSError(error.errno, error.strerror, join.path) from error
    return True


def _open(namespace: Namespace, where: str) -> Join:
    kind = CLONE_FLAG[namespace.type]
    try:
        fd = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidSpec(f"{where}: {namespace.path}: {(error.strerror or '').lower()}") from error
    try:
        if namespaces.kind_of(fd) is not kind:
            raise InvalidSpec(f"{where}: {namespace.path} is not a {namespace.type} namespace")
    except BaseException:
        os.close(fd)
        raise
    return Join(fd, kind, namespace.path)


def is_new(linux: Linux, kind: NamespaceType) -> bool:
    """Whether one of that kind is made by clone3 itself: of a cgroup namespace init takes care, of time the stage."""
    return kind not in (NamespaceType.CGROUP, NamespaceType.TIME) and linux.makes(kind)


def clone_flags(linux: Linux) -> CloneFlags:
    """For clone3."""
    flags = CloneFlags(0)
    for kind, flag in CLONE_FLAG.items():
        if is_new(linux, kind):
            flags |= flag
    return flags
