"""The root: put it in place, move into it, let go of the old one."""

from __future__ import annotations

import os

from aethel_common.linux import mounts
from aethel_common.linux.mounts import MountAttr, MountFlags, MoveMount, UmountFlags
from aethel_run.init.context import Init
from aethel_run.init.step import step


@step(man="mount_namespaces(7) mount(2)")
def make_mounts_slave(init: Init) -> None:
    """Cut the way from our mounts to the host's; before any other mount, or the host would see ours."""
    mounts.mount(None, "/", None, MountFlags.REC | MountFlags.SLAVE, None)


@step(man="move_mount(2)")
def attach_rootfs(init: Init) -> None:
    """Put the rootfs over the old root: the one place that is there, and may be reached, on every host."""
    mounts.move_mount(init.rootfs_fd, "", mounts.AT_FDCWD, "/", MoveMount.F_EMPTY_PATH)


@step(man="pivot_root(2)")
def pivot_into_rootfs(init: Init) -> None:
    """Swap the root mount for the rootfs, which leaves the old root mounted over the new one."""
    os.fchdir(init.rootfs_fd)
    # "." twice: the old root is stacked on the new, so no directory for it need exist in the image.
    mounts.pivot_root(".", ".")


@step(man="umount2(2)")
def detach_old_root(init: Init) -> None:
    """Drop the old root: from here on no path leads to the host's files."""
    mounts.umount2(".", UmountFlags.DETACH)
    os.chdir("/")
    # Its number must not become a working directory, /proc/self/fd/N.
    os.close(init.rootfs_fd)


@step(man="mount_setattr(2)", when=lambda init: init.spec.root.readonly)
def make_root_read_only(init: Init) -> None:
    """Make the root read-only; what is mounted in it stays as it is."""
    mounts.mount_setattr(mounts.AT_FDCWD, "/", 0, attr_set=MountAttr.RDONLY)
