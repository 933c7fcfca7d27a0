"""Rules of `root`, `mounts`, devices and hidden paths. config.md#mounts, config-linux.md#devices"""

from __future__ import annotations

import posixpath
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import Device, DeviceType, NamespaceType
from aethel_run.spec.mounts import Mount, is_bind, meaning

_ROOT: Final = ("/", "//")
_MAX_MAJOR: Final = 2**12
_MAX_MINOR: Final = 2**20
"""man 3 makedev"""


def root_is_named(spec: Spec) -> None:
    """config.md#root"""
    if not spec.root.path or "\0" in spec.root.path:
        raise InvalidSpec(f"root.path: {spec.root.path!r} is not a path")


def mounts_say_where_and_what(spec: Spec) -> None:
    """A destination for each, a source for what is bound."""
    for index, mount in enumerate(spec.mounts):
        strings = (mount.destination, mount.source, mount.type, *mount.options)
        if not mount.destination or any("\0" in text for text in strings):
            raise InvalidSpec(f"mounts[{index}].destination: {mount.destination!r} is not a path")
        if posixpath.normpath(f"/{mount.destination}") in _ROOT and "remount" not in mount.options:
            raise InvalidSpec(f"mounts[{index}].destination: {mount.destination} is the root itself")
        if is_bind(mount) and not mount.source and "remount" not in mount.options:
            raise InvalidSpec(f"mounts[{index}].source: empty, and nothing can be bound to {mount.destination}")


def idmaps_are_whole(spec: Spec) -> None:
    """Both mappings or none; none means the container's own, which it must then have. config.md#linux-mount-options"""
    for index, mount in enumerate(spec.mounts):
        where = f"mounts[{index}]"
        if bool(mount.uid_mappings) != bool(mount.gid_mappings):
            raise InvalidSpec(f"{where}: uidMappings and gidMappings go together")
        if meaning(mount).idmap:
            _idmap_is_possible(spec, mount, where)


def _idmap_is_possible(spec: Spec, mount: Mount, where: str) -> None:
    if not is_bind(mount):
        raise InvalidSpec(f"{where}.options: idmap is for bind mounts, and {mount.destination} is none")
    if not mount.uid_mappings and not spec.linux.has(NamespaceType.USER):
        raise InvalidSpec(f"{where}.options: idmap without mappings needs a user namespace")


def copy_up_is_for_tmpfs(spec: Spec) -> None:
    """tmpcopyup"""
    for index, mount in enumerate(spec.mounts):
        if "tmpcopyup" in mount.options and mount.type != "tmpfs":
            raise InvalidSpec(f"mounts[{index}].options: tmpcopyup is for tmpfs, not {mount.type or 'a bind mount'}")


def devices_are_whole(spec: Spec) -> None:
    """An absolute path, and numbers unless it is a FIFO. config-linux.md#devices"""
    seen: set[str] = set()
    for index, device in enumerate(spec.linux.devices):
        where = f"linux.devices[{index}]"
        if not device.path.startswith("/") or "\0" in device.path:
            raise InvalidSpec(f"{where}.path: {device.path!r} is not absolute")
        if device.path.rpartition("/")[2] in ("", ".", ".."):
            raise InvalidSpec(f"{where}.path: {device.path!r} does not name a file")
        if device.path in seen:
            raise InvalidSpec(f"{where}.path: {device.path} is there twice")
        seen.add(device.path)
        if device.type is not DeviceType.FIFO and not _is_number(device):
            raise InvalidSpec(f"{where}: {device.major}:{device.minor} is not a device")


def _is_number(device: Device) -> bool:
    return 0 <= device.major < _MAX_MAJOR and 0 <= device.minor < _MAX_MINOR


def hidden_paths_are_absolute(spec: Spec) -> None:
    """maskedPaths, readonlyPaths"""
    for name, listed in (("maskedPaths", spec.linux.masked_paths), ("readonlyPaths", spec.linux.readonly_paths)):
        for path in listed:
            if not path.startswith("/") or "\0" in path:
                raise InvalidSpec(f"linux.{name}: {path!r} is not absolute")


RULES: Final = (
    root_is_named,
    mounts_say_where_and_what,
    idmaps_are_whole,
    copy_up_is_for_tmpfs,
    devices_are_whole,
    hidden_paths_are_absolute,
)
