"""`process` of config.json. config.md#process"""

from __future__ import annotations

import msgspec


class Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all parts of the document: unknown fields are ignored, wrong types refused with their JSON path."""


class User(Document, frozen=True, kw_only=True):
    """Ids inside the container. config.md#posix-platform-user"""

    uid: int = 0
    gid: int = 0
    umask: int | None = None
    additional_gids: tuple[int, ...] = ()


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
    soft: int
    hard: int


class ConsoleSize(Document, frozen=True, kw_only=True):
    """In characters."""

    height: int
    width: int


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
    oom_score_adj: int | None = None
