"""The engine's own words: what was asked of a container, what is stored of it, what it is now.

All are frozen; the first three are stored as JSON. Nothing here knows gRPC: `api/messages.py` translates.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from aethel_d.engine.asked import ID_RANGE_SIZE, Devices, IdMap, Kernel, Namespaces, Privileges

DEFAULT_STOP_TIMEOUT = 10


class Status(StrEnum):
    """Computed from facts, never stored. runtime.md#state, and `paused`."""

    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class NetworkMode(StrEnum):
    """What a container's network namespace holds."""

    BRIDGE = "bridge"
    NONE = "none"
    HOST = "host"
    CONTAINER = "container"


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container as asked for: what `create` takes. Empty means: the image's, or the default."""

    image: str
    command: tuple[str, ...] = ()
    name: str = ""
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    hostname: str = ""
    domainname: str = ""
    entrypoint: tuple[str, ...] | None = None
    read_only: bool = False
    terminal: bool = False
    open_stdin: bool = False
    auto_remove: bool = False
    network: NetworkMode = NetworkMode.BRIDGE
    network_container: str = ""
    """Whose network namespace it is in, with CONTAINER."""
    namespaces: Namespaces = Namespaces()
    privileges: Privileges = Privileges()
    devices: Devices = Devices()
    kernel: Kernel = Kernel()
    stop_signal: str = ""
    stop_timeout_seconds: int | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    """Of the OCI document; labels never get there."""
    explain: bool = False
    """Keep the story of each start."""
    without: tuple[str, ...] = ()
    """Protections that are left out, for teaching."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process that is known by more than its number, which the kernel uses again."""

    pid: int
    start_time: int
    """Field 22 of /proc/PID/stat: clock ticks since boot."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of the newest start."""

    started_ns: int
    monitor: Process
    init: Process


class Exit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a container ended; exit.json holds it, and the database once the daemon has seen it."""

    code: int
    """What people see: the status, or 128+n for signal n."""
    signal: int = 0
    finished_ns: int
    oom_killed: bool = False
    error: str = ""
    """Why, when it was not the container's own doing ("its monitor was killed")."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the container store: facts only."""

    id: str
    name: str
    config: ContainerConfig
    image_digest: str
    lower: tuple[str, ...]
    """Its layers, relative to the layers' root, the topmost first."""
    argv: tuple[str, ...]
    """Entrypoint, command and arguments, as they will be executed."""
    env: tuple[str, ...]
    working_dir: str
    hostname: str
    user: str
    stop_signal: int
    created_ns: int
    run: Run | None = None
    exit: Exit | None = None
    id_base: int | None = None
    """First host id of its user namespace; None without one."""
    id_size: int = ID_RANGE_SIZE
    uid_map: tuple[IdMap, ...] = ()
    """The whole maps of that namespace."""
    gid_map: tuple[IdMap, ...] = ()


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A container's place on a bridge."""

    bridge: str
    ip_address: str
    prefix_length: int
    gateway: str
    mac_address: str
    host_link: str


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A container as it is now: its facts and what follows from them."""

    container: Container
    status: Status
    address: Address | None = None
    log_path: str = ""
    bundle_path: str = ""
    cgroup_path: str = ""
    story: bytes = b""
    """Of a start that has just been made, if it was to be told: JSON lines."""


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """Something of the kernel that was looked for."""

    name: str
    available: bool
    detail: str = ""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal's size in characters."""

    rows: int
    columns: int


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a log: a line with its end, or a piece of one without."""

    data: bytes
    is_stderr: bool
    time_ns: int
