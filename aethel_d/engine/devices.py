"""Devices of the host for a container: found, and looked at, when it is created and again at each start."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aethel_common.errors import InvalidArgument, NotFound
from aethel_d.engine.asked import DeviceRequest, IdMap
from aethel_d.engine.idmap import on_host
from aethel_run.spec.linux import Device, DeviceType

_ELSEWHERE: Final = frozenset({"pts", "shm", "fd", "mqueue", "hugepages"})
"""Directories of /dev that hold no devices of the host's, or that a container has to itself."""
_TERMINALS: Final = frozenset({"/dev/console", "/dev/ptmx"})
"""A container has its own."""
_MOST_NODES: Final = 200
"""Each is a descriptor for its init, and one message carries no more than 253 of them (SCM_MAX_FD)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDevice:
    """A device as the host has it now, and where the container will have it."""

    device: Device
    access: str
    node: str = ""
    """With a user namespace: a node of ours that belongs to its ids."""


def requested(requests: Iterable[DeviceRequest]) -> tuple[HostDevice, ...]:
    """What was asked for; of one place in the container the last counts. Raises NotFound, InvalidArgument."""
    return merged(*(_requested(request) for request in requests))


def everything() -> tuple[HostDevice, ...]:
    """All of the host's, but terminals."""
    found = _below(Path("/dev"), Path("/dev"), "rwm")
    return tuple(each for each in found if each.device.path not in _TERMINALS)


def merged(*groups: Iterable[HostDevice]) -> tuple[HostDevice, ...]:
    """Of one place in the container the last counts."""
    return tuple({each.device.path: each for group in groups for each in group}.values())


def with_nodes(devices: Iterable[HostDevice], directory: Path) -> tuple[HostDevice, ...]:
    """With a place in `directory` for the node of each; nothing is made. Raises InvalidArgument for too many."""
    found = tuple(devices)
    if len(found) > _MOST_NODES:
        raise InvalidArgument(
            f"{len(found)} devices are more than a container with a user namespace can have", hint="--userns host"
        )
    return tuple(replace(each, node=str(directory / str(number))) for number, each in enumerate(found))


def make_nodes(devices: Iterable[HostDevice], uid_map: Sequence[IdMap], gid_map: Sequence[IdMap]) -> None:
    """Make the nodes for a container with a user namespace, owned there as they are on the host.

    What belongs to an id that the container does not have belongs to its root. Raises OSError.
    """
    for each in devices:
        kind = stat.S_IFBLK if each.device.type is DeviceType.BLOCK else stat.S_IFCHR
        os.mknod(each.node, kind | 0o600, os.makedev(each.device.major, each.device.minor))
        os.chown(each.node, _owner(each.device.uid, uid_map), _owner(each.device.gid, gid_map))
        os.chmod(each.node, each.device.file_mode or 0)


def _owner(inside: int | None, maps: Sequence[IdMap]) -> int:
    found = on_host(inside or 0, maps)
    if found is None:
        found = on_host(0, maps)
    assert found is not None
    return found


def _requested(request: DeviceRequest) -> Iterator[HostDevice]:
    # /dev/disk/by-id/... is a link: what it leads to now is meant.
    host = Path(os.path.realpath(request.host_path))
    try:
        status = host.stat()
    except OSError as error:
        raise NotFound(f"device {request.host_path}: {(error.strerror or '').lower()}") from None
    target = Path(request.container_path)
    if stat.S_ISDIR(status.st_mode):
        inside = tuple(_below(host, target, request.access))
        if not inside:
            raise InvalidArgument(f"device {request.host_path}: a directory without devices")
        yield from inside
    else:
        device = _device(status, target, request.access)
        if device is None:
            raise InvalidArgument(f"device {request.host_path}: not a device")
        yield device


def _below(directory: Path, target: Path, access: str) -> Iterator[HostDevice]:
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _ELSEWHERE:
                yield from _below(directory / entry.name, target / entry.name, access)
            continue
        device = _device(entry.stat(follow_symlinks=False), target / entry.name, access)
        if device is not None:
            yield device


def _device(status: os.stat_result, target: Path, access: str) -> HostDevice | None:
    if stat.S_ISCHR(status.st_mode):
        kind = DeviceType.CHARACTER
    elif stat.S_ISBLK(status.st_mode):
        kind = DeviceType.BLOCK
    else:
        return None
    return HostDevice(
        device=Device(
            type=kind,
            path=str(target),
            major=os.major(status.st_rdev),
            minor=os.minor(status.st_rdev),
            file_mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
        ),
        access=access,
    )
