"""Make a file system for a mount of the document, or change one that is there.

By fsopen(2), fsconfig(2) and fsmount(2), so that it is whole before anybody can reach it. Two words, `silent` and
`iversion`, only mount(2) knows.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Final

from aethel_common.errors import Unsupported
from aethel_common.linux import mounts
from aethel_common.linux.mounts import FsConfig, MountAttr, MountFlags
from aethel_run.spec.mounts import SUPER_WORDS, Meaning, Mount

_SHOWN_TO_OTHERS: Final = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "mqueue"})
"""One instance for all who share the namespace: only the mount may be read-only, not the file system."""
_WITHOUT_LABEL: Final = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "mqueue"})
"""They have labels of their own; mqueue's root is labelled like a file."""
_MQUEUE: Final = "mqueue"

_CLASSIC_ATTR: Final = {
    MountAttr.RDONLY: MountFlags.RDONLY,
    MountAttr.NOSUID: MountFlags.NOSUID,
    MountAttr.NODEV: MountFlags.NODEV,
    MountAttr.NOEXEC: MountFlags.NOEXEC,
    MountAttr.NODIRATIME: MountFlags.NODIRATIME,
    MountAttr.NOSYMFOLLOW: MountFlags.NOSYMFOLLOW,
}
_CLASSIC_ATIME: Final = {
    MountAttr(0): MountFlags.RELATIME,
    MountAttr.NOATIME: MountFlags.NOATIME,
    MountAttr.STRICTATIME: MountFlags.STRICTATIME,
}
_ST_SYMFOLLOW: Final = 0x2000
_ST_RELATIME: Final = 0x1000
"""f_flag of statvfs(3), where it differs from mount(2)."""


def check_label(label: str) -> None:
    """linux.mountLabel is for a kernel that has SELinux. Raises Unsupported."""
    with open("/proc/filesystems", encoding="utf-8") as file:
        if "selinuxfs" not in file.read().split():
            raise Unsupported(f"linux.mountLabel: {label}: this host has no SELinux")


def make(mount: Mount, words: Meaning, attributes: MountAttr, label: str = "") -> int:
    """A detached mount of a new file system; the caller's. Raises OSError with what the file system has to say."""
    kind = fs_type(mount)
    try:
        fs_fd = mounts.fsopen(kind)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        raise OSError(
            error.errno, f"{error.strerror}: {kind!r} is no file system of this kernel", mount.destination
        ) from error
    try:
        for key, value in options(mount, words, label):
            command = FsConfig.SET_FLAG if value is None else FsConfig.SET_STRING
            mounts.fsconfig(fs_fd, command, key, value)
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        mount_fd = mounts.fsmount(fs_fd, attributes)
    except OSError as error:
        raise OSError(error.errno, _reason(kind, error, fs_fd), mount.destination) from error
    finally:
        os.close(fs_fd)
    _label_queue(kind, mount_fd, label)
    return mount_fd


def make_at(target_fd: int, mount: Mount, words: Meaning, attributes: MountAttr, label: str = "") -> None:
    """The same by mount(2), on the directory that `target_fd` refers to, for its words."""
    kind = fs_type(mount)
    flags = classic(attributes) | words.super_flags | _super_flags(words, MountFlags(0))
    try:
        mounts.mount(mount.source or kind, f"/proc/self/fd/{target_fd}", kind, flags, data(words, kind, label))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: {kind}", mount.destination) from error


def remount(target_fd: int, mount: Mount, words: Meaning) -> None:
    """Change the file system that is mounted there: what the document does not name stays as it is."""
    now = os.statvfs(f"/proc/self/fd/{target_fd}").f_flag
    attributes = (_attributes(now) & ~words.attr_clr) | words.attr_set
    flags = classic(attributes) | words.super_flags | _super_flags(words, _super_now(now))
    path = f"/proc/self/fd/{target_fd}"
    try:
        mounts.mount(None, path, None, MountFlags.REMOUNT | flags, data(words, fs_type(mount), ""))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: remount", mount.destination) from error


def fs_type(mount: Mount) -> str:
    """The kernel's name; `cgroup` is the unified hierarchy here."""
    return "cgroup2" if mount.type == "cgroup" else mount.type


def options(mount: Mount, words: Meaning, label: str) -> Iterator[tuple[str, str | None]]:
    """All that fsconfig(2) is told, in order."""
    if mount.source:
        yield "source", mount.source
    yield from ((word, None) for word in words.super_words)
    if words.attr_set & MountAttr.RDONLY and mount.type not in _SHOWN_TO_OTHERS and mount.type != "tmpfs":
        yield "ro", None  # a disk that cannot be written is not even opened without
    yield from words.data
    if label and mount.type not in _WITHOUT_LABEL:
        yield "context", label


def data(words: Meaning, kind: str, label: str) -> str | None:
    """The same for mount(2)."""
    parts = [key if value is None else f"{key}={value}" for key, value in words.data]
    if label and kind not in _WITHOUT_LABEL:
        parts.append(f'context="{label}"')
    return ",".join(parts) or None


def classic(attributes: MountAttr) -> MountFlags:
    """Attributes of a mount in mount(2)'s flags."""
    flags = _CLASSIC_ATIME[attributes & MountAttr.ATIME]
    for attribute, flag in _CLASSIC_ATTR.items():
        if attributes & attribute:
            flags |= flag
    return flags


def _super_flags(words: Meaning, flags: MountFlags) -> MountFlags:
    for word in words.super_words:
        flag, wanted = SUPER_WORDS[word]
        flags = flags | flag if wanted else flags & ~flag
    return flags


def _super_now(f_flag: int) -> MountFlags:
    return MountFlags(f_flag) & (MountFlags.SYNCHRONOUS | MountFlags.MANDLOCK)


def _attributes(f_flag: int) -> MountAttr:
    """What statvfs(3) tells of a mount: its flags are mount(2)'s but for one."""
    found = MountAttr(0)
    for attribute, flag in _CLASSIC_ATTR.items():
        bit = _ST_SYMFOLLOW if attribute is MountAttr.NOSYMFOLLOW else int(flag)
        if f_flag & bit:
            found |= attribute
    if f_flag & MountFlags.NOATIME:
        return found | MountAttr.NOATIME
    return found if f_flag & _ST_RELATIME else found | MountAttr.STRICTATIME


def _reason(kind: str, error: OSError, fs_fd: int) -> str:
    """The kernel's answer, and the lines that the file system left at the descriptor. man 2 fsopen"""
    said = []
    while True:
        try:
            said.append(os.read(fs_fd, 4096).decode(errors="replace").strip().partition(" ")[2])
        except OSError:
            break
    option = f" ({error.filename})" if error.filename else ""
    return ": ".join((error.strerror or "", *said, f"{kind}{option}"))


def _label_queue(kind: str, mount_fd: int, label: str) -> None:
    if not label or kind != _MQUEUE:
        return
    try:
        os.setxattr(f"/proc/self/fd/{mount_fd}", "security.selinux", label.encode() + b"\0")
    except PermissionError:
        pass  # in a user namespace its root is the host's; the policy's own label lets nobody do more
