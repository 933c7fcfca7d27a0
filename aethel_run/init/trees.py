"""Detached mounts and trees of mounts: copy, give attributes, decide who hears of what, put into place.

man 2 open_tree, man 2 mount_setattr, man 2 move_mount
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from aethel_common.linux import mounts
from aethel_common.linux.mounts import MountAttr, MountFlags, MoveMount, OpenTree
from aethel_run.spec.linux import RootfsPropagation
from aethel_run.spec.mounts import Meaning

_ALL: Final = mounts.AT_EMPTY_PATH | mounts.AT_RECURSIVE

Propagation = Iterable[tuple[MountFlags, bool]]
"""Kinds, each with whether all below is meant too."""

_SHARING: Final = (RootfsPropagation.SHARED, RootfsPropagation.RECURSIVE_SHARED)
_OF_WHAT_IS_MOUNTED: Final = {
    RootfsPropagation.SHARED: ((MountFlags.SHARED, False),),
    RootfsPropagation.RECURSIVE_SHARED: ((MountFlags.SHARED, True),),
    RootfsPropagation.RECURSIVE_PRIVATE: ((MountFlags.PRIVATE, True),),
}


def clone(path: str, *, recursive: bool) -> int:
    """A detached copy of what is at `path` of this mount namespace; the caller's. Raises OSError."""
    flags = OpenTree.CLONE | OpenTree.CLOEXEC | (OpenTree.RECURSIVE if recursive else OpenTree(0))
    return mounts.open_tree(mounts.AT_FDCWD, path, flags)


def clone_fd(fd: int, *, recursive: bool = False) -> int:
    """A detached copy of what `fd` refers to; the caller's."""
    flags = OpenTree.CLONE | OpenTree.CLOEXEC | OpenTree.EMPTY_PATH
    return mounts.open_tree(fd, "", flags | (OpenTree.RECURSIVE if recursive else OpenTree(0)))


def set_attributes(fd: int, words: Meaning) -> None:
    """What the document says of the mount, and of all below it."""
    if words.recursive_set or words.recursive_clr:
        mounts.mount_setattr(fd, "", _ALL, attr_set=words.recursive_set, attr_clr=words.recursive_clr)
    if words.attr_set or words.attr_clr:
        mounts.mount_setattr(fd, "", mounts.AT_EMPTY_PATH, attr_set=words.attr_set, attr_clr=words.attr_clr)


def add_everywhere(fd: int, attributes: MountAttr) -> None:
    """Add attributes to the mount and all below it."""
    mounts.mount_setattr(fd, "", _ALL, attr_set=attributes)


def propagate(fd: int, kinds: Propagation) -> None:
    """Change who hears of what is mounted there, one after the other. man 7 mount_namespaces"""
    for kind, recursive in kinds:
        mounts.mount_setattr(fd, "", _ALL if recursive else mounts.AT_EMPTY_PATH, propagation=kind)


def isolate(fd: int) -> None:
    """Nothing that is mounted below is heard of by the host; what the host unmounts still goes here too."""
    propagate(fd, ((MountFlags.SLAVE, True),))


def keeps_peers(root: RootfsPropagation) -> bool:
    """Whether what is bound in stays in its peer group of the host, so that mounts go both ways. mounts: `rshared`"""
    return root in _SHARING


def propagation_of(words: Meaning, root: RootfsPropagation) -> Propagation:
    """The mount's own words, or what follows from the root's."""
    return words.propagation or _OF_WHAT_IS_MOUNTED.get(root, ())


def place(tree_fd: int, target_fd: int) -> None:
    """Put a detached mount on what `target_fd` refers to; afterwards `tree_fd` is still the mount."""
    mounts.move_mount(tree_fd, "", target_fd, "", MoveMount.F_EMPTY_PATH | MoveMount.T_EMPTY_PATH)


def cover(tree_fd: int, target_fd: int) -> None:
    """`place`; owns `tree_fd`."""
    try:
        place(tree_fd, target_fd)
    finally:
        os.close(tree_fd)
