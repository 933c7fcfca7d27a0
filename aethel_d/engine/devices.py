"""Devices of the host for a container: found, and looked at, when it is created and again at each start."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aethel_common.errors import InvalidArgument, NotFound
from aethel_d.engine.asked import DeviceRequest
from aethel_run.spec.linux import Device, DeviceType

_ELSEWHERE: Final = frozenset({"pts", "shm", "fd", "mqueue", "hugepages"})
"""Directories of /dev that hold no devices of the host's, or that a container has to itself."""
_CONSOLE: Final = "/dev/console"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDevice:
    """A device as the host has it now, and where the container will have it."""

    device: Device
    access: str


def requested(requests: Iterable[DeviceRequest]) -> tuple[HostDevice, ...]:
    """What was asked for; of one place in the container the last counts. Raises NotFound, InvalidArgument."""
    found: dict[str, HostDevice] = {}
    for request in requests:
        for device in _requested(request):
            found[device.device.path] = device
    return tuple(found.values())


def everything() -> tuple[HostDevice, ...]:
    """All of the host's, but terminals."""
    return tuple(device for device in _below(Path("/dev"), Path("/dev"), "rwm") if device.device.path != _CONSOLE)


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
