"""A bundle whose root is busybox, and containers of it: `bundle.run("ls /dev")`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aethel_common.linux import mounts, namespaces
from aethel_common.linux.mounts import MountFlags
from aethel_common.linux.namespaces import CloneFlags
from aethel_run.lifecycle.create import Created, CreateOptions, create
from aethel_run.lifecycle.rootfs import open_directory
from aethel_run.spec.config import Spec
from aethel_run.spec.load import decode, encode
from aethel_run.spec.template import default_spec

BUSYBOX = Path("/bin/busybox")
APPLETS = (
    *("cat", "chmod", "cut", "dd", "echo", "grep", "head", "hostname", "id", "ln", "ls", "mkdir", "mknod", "mount"),
    *("od", "readlink", "rm", "sh", "sleep", "stat", "sync", "test", "touch", "tr", "true", "umount", "wc", "find"),
)
ID_BASE = 300000
"""Where the ids of a user namespace begin on the host."""
USERS = {
    "linux.uidMappings": [{"containerID": 0, "hostID": ID_BASE, "size": 65536}],
    "linux.gidMappings": [{"containerID": 0, "hostID": ID_BASE, "size": 65536}],
}


@dataclass(frozen=True)
class Result:
    """What a container printed, and how it ended."""

    out: str
    status: int

    @property
    def lines(self) -> list[str]:
        """Of what it printed."""
        return self.out.splitlines()


@dataclass(frozen=True)
class MountLine:
    """A line of mountinfo. man 5 proc"""

    point: str
    root: str
    options: frozenset[str]
    tags: frozenset[str]
    """`shared:N`, `master:N`, `unbindable`: with the number left out."""
    kind: str
    super_options: frozenset[str]

    @staticmethod
    def parse(line: str) -> MountLine:
        left, _, right = line.partition(" - ")
        fields, behind = left.split(), right.split()
        return MountLine(
            point=fields[4],
            root=fields[3],
            options=frozenset(fields[5].split(",")),
            tags=frozenset(tag.partition(":")[0] for tag in fields[6:]),
            kind=behind[0],
            super_options=frozenset(behind[2].split(",")),
        )


class Bundle:
    """A directory with a `rootfs`; documents are given as changes to the default one, by JSON path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        (self.rootfs / "bin").mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for name in APPLETS:
            (self.rootfs / "bin" / name).symlink_to("busybox")
        for name in ("dev", "etc", "proc", "root", "sys", "tmp", "var"):
            (self.rootfs / name).mkdir()
        (self.rootfs / "tmp").chmod(0o1777)

    def own(self, uid: int = ID_BASE) -> None:
        """Give the root and all in it to one user."""
        for directory, names, files in os.walk(self.rootfs):
            for name in (".", *names, *files):
                os.lchown(os.path.join(directory, name), uid, uid)

    def spec(self, script: str, changes: Mapping[str, Any] | None = None, *, users: bool = False) -> Spec:
        """`users`: with a user namespace. A key `mounts+` adds to the default mounts, `linux.x` replaces."""
        document = json.loads(encode(default_spec()))
        document["process"] |= {"terminal": False, "args": ["/bin/sh", "-c", script]}
        if users:
            self.own()
            document["linux"]["namespaces"].append({"type": "user"})
        for key, value in {**(USERS if users else {}), **(changes or {})}.items():
            *parents, last = key.split(".")
            at = document
            for parent in parents:
                at = at.setdefault(parent, {})
            if last.endswith("+"):
                at[last[:-1]] = [*at.get(last[:-1], []), *value]
            else:
                at[last] = value
        return decode(json.dumps(document).encode())

    def run(
        self,
        script: str,
        changes: Mapping[str, Any] | None = None,
        *,
        users: bool = False,
        without: Iterable[str] = (),
    ) -> Result:
        """Create, start, read until it has ended. Raises what `create` and `start` raise."""
        reader, writer = os.pipe()
        try:
            with self.created(script, changes, users=users, stdout=writer, without=without) as container:
                container.start()
                os.close(writer)
                writer = -1
                output = bytearray()
                while chunk := os.read(reader, 65536):
                    output += chunk
                result = os.waitid(os.P_PIDFD, container.pidfd, os.WEXITED | os.WNOWAIT)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        assert result is not None
        status = result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
        return Result(output.decode(errors="replace"), status)

    def mounts(
        self, changes: Mapping[str, Any] | None = None, *, users: bool = False, script: str = "true"
    ) -> dict[str, MountLine]:
        """What is mounted in a container, the topmost at each place, after `script` has run there."""
        result = self.run(f"{script}; echo ----; cat /proc/self/mountinfo", changes, users=users)
        assert result.status == 0, result.out
        table = result.out.partition("----\n")[2]
        return {each.point: each for each in map(MountLine.parse, table.splitlines())}

    @contextmanager
    def created(
        self,
        script: str = "sleep 60",
        changes: Mapping[str, Any] | None = None,
        *,
        users: bool = False,
        stdout: int | None = None,
        without: Iterable[str] = (),
    ) -> Iterator[Created]:
        """A container at its gate, killed when the block ends."""
        spec = self.spec(script, changes, users=users)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        out = null if stdout is None else stdout
        try:
            container = create(
                spec,
                CreateOptions(
                    open_rootfs=open_directory(str(self.rootfs)),
                    bundle=str(self.path),
                    stdio=(null, out, out),
                    without=frozenset(without),
                ),
            )
        finally:
            os.close(null)
        try:
            yield container
        finally:
            container.abandon()


def mount(destination: str, kind: str = "tmpfs", source: str = "", *options: str, **more: Any) -> dict[str, Any]:
    """One entry of `mounts`."""
    return {"destination": destination, "type": kind, "source": source or kind, "options": list(options), **more}


def bind(source: Path | str, destination: str, *options: str, **more: Any) -> dict[str, Any]:
    """One entry of `mounts`: a recursive bind."""
    return mount(destination, "bind", str(source), "rbind", *options, **more)


def in_shared_mounts(check: Callable[[], None]) -> None:
    """Call `check` in a child with mounts of its own that are all shared, as systemd has the host's."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            namespaces.unshare(CloneFlags.NEWNS)
            mounts.mount(None, "/", None, MountFlags.REC | MountFlags.PRIVATE, None)
            mounts.mount(None, "/", None, MountFlags.REC | MountFlags.SHARED, None)
            check()
            status = 0
        except BaseException:  # noqa: BLE001 -- the border of the process
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the check in the child failed, see its output"


@contextmanager
def child(work: Callable[[], None]) -> Iterator[int]:
    """A process that does `work` until the block ends."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
