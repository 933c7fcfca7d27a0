"""User namespaces that only carry the id mappings of a mount. man 2 mount_setattr ("ID-mapped mounts")"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from types import TracebackType

from aethel_common.linux import namespaces, processes
from aethel_common.linux.namespaces import CloneFlags
from aethel_run.spec.linux import IdMapping
from aethel_run.spec.mounts import Mount

Mappings = tuple[IdMapping, ...]


class MountIds:
    """One namespace for each pair of mappings, for as long as the block lasts; the mounts keep theirs alive."""

    def __init__(self) -> None:
        self._fds: dict[tuple[Mappings, Mappings], int] = {}

    def __enter__(self) -> MountIds:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._fds.values():
            os.close(fd)

    def of(self, mount: Mount) -> int:
        """The descriptor of the namespace with the mount's mappings; stays ours."""
        key = (mount.uid_mappings, mount.gid_mappings)
        if key not in self._fds:
            self._fds[key] = _make(*key)
        return self._fds[key]


def _make(uids: Mappings, gids: Mappings) -> int:
    """A process is needed to be in it while its maps are written, and only then."""
    release, hold = os.pipe()
    try:
        pid, pidfd = namespaces.clone3(CloneFlags.NEWUSER)
        if pid == 0:
            _wait(release, hold)
        try:
            _write(f"/proc/{pid}/gid_map", gids)
            _write(f"/proc/{pid}/uid_map", uids)
            return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            processes.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
            os.close(pidfd)
    finally:
        os.close(release)
        os.close(hold)


def _wait(release: int, hold: int) -> None:
    """The child's whole life: until it is killed, or its parent has died."""
    try:
        os.close(hold)
        os.read(release, 1)
    finally:
        os._exit(0)


def _write(path: str, mappings: Iterable[IdMapping]) -> None:
    lines = "".join(f"{each.container_id} {each.host_id} {each.size}\n" for each in mappings)
    with open(path, "wb", buffering=0) as file:
        file.write(lines.encode())
