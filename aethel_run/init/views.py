"""The kernel's own file systems, where a container may not mount one of its own: what the host sees is bound instead.

sysfs belongs to the owner of the network namespace, proc to that of the PID namespace, mqueue to that of the IPC
namespace: who shares the host's from inside a user namespace gets EPERM, and is shown what it shares.
"""

from __future__ import annotations

import os
from typing import Final

from aethel_common.errors import Unsupported
from aethel_common.linux.mounts import MountAttr
from aethel_run.init import trees
from aethel_run.init.context import Init
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.mounts import Meaning, Mount

_SHOWN: Final = {
    "proc": ("/proc", NamespaceType.PID),
    "sysfs": ("/sys", NamespaceType.NETWORK),
    "mqueue": ("/dev/mqueue", NamespaceType.IPC),
}
"""Where the host has it, and the namespace that it shows."""
_CGROUP: Final = frozenset({"cgroup", "cgroup2"})
_KEPT: Final = MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


def is_shown_whole(mount: Mount) -> bool:
    """Whether it is a view of what is the kernel's, where nothing of the image may lead elsewhere."""
    return mount.type in ("proc", "sysfs")


def instead(init: Init, mount: Mount, words: Meaning) -> int | None:
    """A detached copy of the host's view, the caller's; None when there is nothing that could stand for it."""
    if mount.type in _CGROUP:
        return _restricted(own_cgroup(), words)
    path, kind = _SHOWN.get(mount.type, ("", None))
    # A namespace of its own has a view of its own: the host's in its place would lie, about PIDs above all.
    if kind is None or (init.has(kind) and mount.type != "sysfs"):
        return None
    return _restricted(path, words)


def needs_bind(init: Init, mount: Mount) -> bool:
    """Whether there is no way but a copy: without a cgroup namespace a new mount would show the whole tree."""
    return mount.type in _CGROUP and not init.has(NamespaceType.CGROUP)


def own_cgroup() -> str:
    """The directory of this process's own cgroup. Raises Unsupported without a unified hierarchy. man 7 cgroups"""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        inside = next((line.rstrip("\n")[3:] for line in file if line.startswith("0::")), None)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if inside is not None and right.startswith("cgroup2 "):
                root, point = left.split()[3:5]
                return os.path.normpath(f"{point}/{os.path.relpath(inside, root)}")
    raise Unsupported("no cgroup2 file system is mounted", hint="mount -t cgroup2 none /sys/fs/cgroup")


def _restricted(path: str, words: Meaning) -> int:
    # With all below it: in a user namespace what covers parts of it may not be taken off.
    fd = trees.clone(path, recursive=True)
    try:
        trees.isolate(fd)
        trees.add_everywhere(fd, words.attr_set & _KEPT)
    except BaseException:
        os.close(fd)
        raise
    return fd
