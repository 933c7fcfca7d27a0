"""Controllers from the top of the tree down to where a limit needs them, and the directories on the way.

The kernel's rules: a cgroup can pass on only what it has, and none that holds processes may pass on anything ("no
internal processes"), but for the root. cgroup-v2.rst#controlling-controllers
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from aethel_common.errors import Unsupported, WrongState
from aethel_run.cgroup.directory import Directory

_WANTED: Final = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
THREADED: Final = frozenset({"cpu", "cpuset", "perf_event", "pids"})
"""The controllers that may work between the threads of one process. cgroup-v2.rst#threads"""


def make(cgroup: Directory, wanted: frozenset[str] | None, made: list[Path]) -> None:
    """Make it and the parents that are missing, each noted in `made`, with `wanted` controllers; see Cgroup.make."""
    missing = not cgroup.path.is_dir()
    if not missing and not wanted:
        return
    parent = Directory(cgroup.path.parent)
    if not parent.path.is_dir():
        make(parent, wanted, made)
    if wanted is None:
        delegate(parent)
    else:
        pass_down(parent, wanted)
    if missing:
        _make_directory(cgroup, wanted or frozenset(), made)


def unmake(made: Sequence[Path]) -> None:
    """Take back what `make` made, but for what somebody else has begun to use meanwhile."""
    for directory in reversed(made):
        try:
            directory.rmdir()
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT):
                raise


def pass_down(cgroup: Directory, controllers: Iterable[str]) -> None:
    """Let its children have these controllers, and its ancestors pass them as far as that needs.

    Raises Unsupported for one that the whole tree lacks, WrongState when processes are in the way.
    """
    missing = frozenset(controllers) - frozenset((cgroup.read("cgroup.subtree_control") or "").split())
    if not missing:
        return
    above = missing - frozenset((cgroup.read("cgroup.controllers") or "").split())
    if above:
        parent = Directory(cgroup.path.parent)
        if parent.read("cgroup.controllers") is None:
            raise Unsupported(f"{' '.join(sorted(above))}: not a controller of the cgroup2 tree at {cgroup.path}")
        pass_down(parent, above)
    _enable(cgroup, sorted(missing))


def delegate(cgroup: Directory) -> None:
    """Let the children have the controllers that this cgroup has, as far as the kernel allows."""
    available = (cgroup.read("cgroup.controllers") or "").split()
    enabled = (cgroup.read("cgroup.subtree_control") or "").split()
    for controller in _WANTED:
        if controller in available and controller not in enabled:
            try:
                cgroup.write("cgroup.subtree_control", f"+{controller}")
            except OSError as error:
                # EBUSY: processes sit in this cgroup itself, so it may not control children
                # ("no internal processes"); limits that would need it are refused where they are asked for.
                if error.errno not in (errno.EBUSY, errno.EOPNOTSUPP, errno.ENOENT):
                    raise


def _make_directory(cgroup: Directory, wanted: frozenset[str], made: list[Path]) -> None:
    try:
        cgroup.path.mkdir()
    except FileExistsError:
        return
    made.append(cgroup.path)
    # The caller's umask is not the container's: on older kernels its root walks here to mount its part of the tree.
    cgroup.path.chmod(0o755)
    if (cgroup.read("cgroup.type") or "").strip() == "domain invalid":
        _become_threaded(cgroup, wanted)


def _become_threaded(cgroup: Directory, wanted: frozenset[str]) -> None:
    """Below a threaded cgroup only threaded ones can hold processes."""
    if wanted - THREADED:
        names = " ".join(sorted(wanted - THREADED))
        raise Unsupported(f"{cgroup.path} is below a threaded cgroup, where {names} cannot be limited")
    cgroup.write("cgroup.type", "threaded")


def _enable(cgroup: Directory, controllers: list[str]) -> None:
    # Asked before the kernel is: it would take a threaded controller here, and spoil the children for processes.
    if not _is_root(cgroup) and cgroup.pids():
        raise _occupied(cgroup, controllers)
    try:
        cgroup.write("cgroup.subtree_control", " ".join(f"+{controller}" for controller in controllers))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _occupied(cgroup, controllers) from error
        if error.errno == errno.EOPNOTSUPP:
            raise Unsupported(f"{cgroup.path} is threaded: it cannot pass {' '.join(controllers)} down") from error
        raise


def _occupied(cgroup: Directory, controllers: list[str]) -> WrongState:
    pids = " ".join(map(str, cgroup.pids()[:10]))
    return WrongState(
        f"{cgroup.path} holds processes ({pids}), so the kernel lets it pass {' '.join(controllers)} to no cgroup below",
        hint="move them into a cgroup of their own, or choose another linux.cgroupsPath",
    )


def _is_root(cgroup: Directory) -> bool:
    """The tree's own root alone has no type, and may have both processes and children with controllers."""
    return cgroup.read("cgroup.type") is None
