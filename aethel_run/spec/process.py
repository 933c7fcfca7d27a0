"""`process` of config.json. config.md#process"""

from __future__ import annotations

import msgspec

from aethel_run.spec.document import Document, Uint32, Uint64
from aethel_run.spec.scheduling import CpuAffinity, IoPriority, Scheduler


class User(Document, frozen=True, kw_only=True):
    """Ids inside the container. config.md#posix-platform-user"""

    uid: Uint32 = 0
    gid: Uint32 = 0
    umask: Uint32 | None = None
    additional_gids: tuple[Uint32, ...] = ()


class Capabilities(Document, frozen=True, kw_only=True):
    """Five sets of names such as CAP_CHOWN. config.md#linux-process"""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


class Rlimit(Document, frozen=True, kw_only=True):
    """A resource limit such as RLIMIT_NOFILE. man 2 setrlimit"""

    type: str
    soft: Uint64
    hard: Uint64


class ConsoleSize(Document, frozen=True, kw_only=True):
    """In characters."""

    height: Uint32
    width: Uint32


class Process(Document, frozen=True, kw_only=True):
    """The program to run."""

    terminal: bool = False
    console_size: ConsoleSize | None = None
    user: User = User()
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    cwd: str
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    oom_score_adj: int | None = None
    scheduler: Scheduler | None = None
    selinux_label: str = ""
    io_priority: IoPriority | None = None
    exec_cpu_affinity: CpuAffinity | None = msgspec.field(name="execCPUAffinity", default=None)


NOTHING_TO_RUN = Process(cwd="/")
"""A container can be made without a process; it is `start` that needs one."""
