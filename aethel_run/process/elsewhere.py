"""A detached copy of a mount in another mount namespace. man 7 mount_namespaces

open_tree(2) copies only what is in the namespace of its caller, so this process goes there and comes back. What it
meets there is not its own: it imports nothing meanwhile, and resolves nothing but the one path, inside the root. Nor is
a story told of it: what a descriptor is open on would be asked of a /proc that is not ours.
"""

from __future__ import annotations

import os

from aethel_common.linux import mounts, namespaces, paths
from aethel_common.linux.mounts import OpenTree
from aethel_common.linux.namespaces import CloneFlags
from aethel_run import story

_FLAGS = OpenTree.CLONE | OpenTree.CLOEXEC | OpenTree.EMPTY_PATH


def clone_from(pid: int, path: str) -> int:
    """What the process `pid` has at `path` of its root; the caller's. Only for a process with one thread. OSError."""
    own_fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    before_fd = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    other_fd = -1
    try:
        other_fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        with story.listening(None):
            namespaces.setns(other_fd, CloneFlags.NEWNS)
            try:
                return _clone(path)
            finally:
                namespaces.setns(own_fd, CloneFlags.NEWNS)
                os.fchdir(before_fd)
    finally:
        for fd in (own_fd, before_fd, other_fd):
            if fd >= 0:
                os.close(fd)


def _clone(path: str) -> int:
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target_fd = paths.open_in_root(root_fd, path, os.O_PATH)
        try:
            return mounts.open_tree(target_fd, "", _FLAGS)
        finally:
            os.close(target_fd)
    finally:
        os.close(root_fd)
