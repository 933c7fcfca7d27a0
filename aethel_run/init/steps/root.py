"""The root: put it in place, move into it, let go of the old one."""

from __future__ import annotations

import os
from typing import Final

from aethel_common.linux import calls, mounts
from aethel_common.linux.mounts import MountAttr, MountFlags, MoveMount, UmountFlags
from aethel_run.init import trees
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec.linux import RootfsPropagation

_R = RootfsPropagation
_PRIVATE: Final = (MountFlags.PRIVATE, False)
_ALL_PRIVATE: Final = (MountFlags.PRIVATE, True)
_ALL_SHARED: Final = (MountFlags.SHARED, True)

# pivot_root(2) refuses a shared root, so a shared one becomes that afterwards; what is mounted in it is so from the start.
_BEFORE: Final = {
    _R.SHARED: (_PRIVATE,),
    _R.RECURSIVE_SHARED: (_ALL_PRIVATE, _ALL_SHARED, _PRIVATE),
    _R.PRIVATE: (_PRIVATE,),
    _R.RECURSIVE_PRIVATE: (_ALL_PRIVATE,),
}
_AFTER: Final = {
    _R.SHARED: ((MountFlags.SHARED, False),),
    _R.RECURSIVE_SHARED: ((MountFlags.SHARED, False),),
    # Late: the steps before copy parts of it.
    _R.UNBINDABLE: ((MountFlags.UNBINDABLE, False),),
    _R.RECURSIVE_UNBINDABLE: ((MountFlags.UNBINDABLE, True),),
}


@step(man="mount_namespaces(7) mount(2)")
def make_mounts_slave(init: Init) -> None:
    """Cut the way from our mounts to the host's; before any other mount, or the host would see ours."""
    mounts.mount(None, "/", None, MountFlags.REC | MountFlags.SLAVE, None)


@step(man="move_mount(2) mount_setattr(2)")
def attach_rootfs(init: Init) -> None:
    """Put the rootfs over the old root: the one place that is there, and may be reached, on every host."""
    # A copy of a shared mount is its peer: without this every mount in it would appear in the bundle on the host.
    trees.isolate(init.rootfs_fd)
    trees.propagate(init.rootfs_fd, _BEFORE.get(init.spec.linux.rootfs_propagation, ()))
    mounts.move_mount(init.rootfs_fd, "", mounts.AT_FDCWD, "/", MoveMount.F_EMPTY_PATH)


@step(man="pivot_root(2)")
def pivot_into_rootfs(init: Init) -> None:
    """Swap the root mount for the rootfs, which leaves the old root mounted over the new one."""
    calls.fchdir(init.rootfs_fd)
    # "." twice: the old root is stacked on the new, so no directory for it need exist in the image.
    mounts.pivot_root(".", ".")


@step(man="umount2(2)")
def detach_old_root(init: Init) -> None:
    """Drop the old root: from here on no path leads to the host's files."""
    mounts.umount2(".", UmountFlags.DETACH)
    calls.chdir("/")
    # Its number must not become a working directory, /proc/self/fd/N.
    os.close(init.rootfs_fd)


@step(
    man="mount_namespaces(7) mount_setattr(2)",
    when=lambda init: init.spec.linux.rootfs_propagation in _AFTER,
    only="with linux.rootfsPropagation shared or unbindable",
)
def set_root_propagation(init: Init) -> None:
    """Let the root share what is mounted in it, or forbid to bind it elsewhere."""
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        trees.propagate(root_fd, _AFTER[init.spec.linux.rootfs_propagation])
    finally:
        os.close(root_fd)


@step(man="mount_setattr(2)", when=lambda init: init.spec.root.readonly, only="with root.readonly")
def make_root_read_only(init: Init) -> None:
    """Make the root read-only; what is mounted in it stays as it is."""
    mounts.mount_setattr(mounts.AT_FDCWD, "/", 0, attr_set=MountAttr.RDONLY)
