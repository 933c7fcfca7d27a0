"""A kernel that runs as a process: user-mode Linux, on one CPU.

It traps each system call and page fault of its processes with ptrace, so that two host processes take turns all the
time: on one CPU that is more than twice as fast as across two. For more speed, boot one kernel for each CPU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_GIB = 1024**3
_HERE = Path(__file__).parent


class Kernel:
    """Boots when made; `console` is what it said. `close` ends it, and all its processes, if it has not powered off."""

    def __init__(self, arguments: Sequence[str], *, cpu: int, console: Path) -> None:
        self.console = console
        # The kernel keeps its memory in a file: where it looks by itself, /dev/shm, is the best place.
        environment = {name: value for name, value in os.environ.items() if name not in ("TMPDIR", "TMP", "TEMP")}
        # Its processes are processes here: a PID namespace ends all of them with the first, and the first with us.
        confined = ["setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = [*confined, "taskset", "--cpu-list", str(cpu), "linux.uml", "quiet", "con=null", "con0=fd:0,fd:1"]
        with open(console, "wb") as output:
            self._process = subprocess.Popen(
                [*command, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def on_this_host(checkout: Path, share: Path, number: int, *, memory_mib: int = 1024) -> list[str]:
    """Arguments of a kernel that has this host's files as its own, and runs `work` of `share`; see init.sh."""
    disk = share / f"disk-{number}"
    make_disk(disk, 2 * _GIB)
    return [
        f"mem={memory_mib}M",
        f"ubda={disk}",
        f"uml_dir={share}/",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "selinux=0",
        f"init={_HERE / 'init.sh'}",
        f"checkout={checkout}",
        f"share={share}",
        f"kernel={number}",
    ]


def make_disk(path: Path, size: int) -> None:
    """An empty ext4 file system in a sparse file."""
    with open(path, "wb") as file:
        file.truncate(size)
    mkfs = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert mkfs is not None
    subprocess.run([mkfs, "-q", "-F", str(path)], check=True)
