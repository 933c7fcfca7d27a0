"""Where everything is kept: one object that names every directory, file and socket.

Two roots: what must survive a reboot (`state`, on a disk) and what must not (`run`, a tmpfs). All that the daemon
believes can be rebuilt from them and the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aethel_common.address import DEFAULT_SOCKET

DEFAULT_STATE = Path("/var/lib/aethelred")
DEFAULT_RUN = Path("/run/aethelred")
DEFAULT_CACHE = Path("/var/cache/aethelred")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerLayout:
    """The paths of one container."""

    state: Path
    """Kept: `upper` and `work` of the overlay, `etc` (hosts, hostname, resolv.conf), `container.log`."""
    bundle: Path
    """Runtime only: the OCI bundle (`config.json`), `monitor.sock`, `exit.json`."""

    @property
    def upper(self) -> Path:
        """What the container wrote: the overlay's upper directory."""
        return self.state / "upper"

    @property
    def work(self) -> Path:
        """The overlay's work directory, beside `upper` on one file system."""
        return self.state / "work"

    @property
    def etc(self) -> Path:
        """hosts, hostname and resolv.conf, bound over those of the image."""
        return self.state / "etc"

    @property
    def log(self) -> Path:
        """What the container wrote to stdout and stderr, in the CRI log format."""
        return self.state / "container.log"

    @property
    def story(self) -> Path:
        """How the newest start went, step by step, if that was asked for; JSON lines."""
        return self.state / "story.jsonl"

    @property
    def config(self) -> Path:
        """The OCI runtime-spec document the container was made from."""
        return self.bundle / "config.json"

    @property
    def devices(self) -> Path:
        """Device nodes that belong to the ids of its user namespace; there when it has some."""
        return self.bundle / "devices"

    @property
    def monitor_socket(self) -> Path:
        """Where the container's monitor listens (SOCK_SEQPACKET)."""
        return self.bundle / "monitor.sock"

    @property
    def exit(self) -> Path:
        """How the container ended; written by its monitor in one piece."""
        return self.bundle / "exit.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths of one daemon."""

    state: Path = DEFAULT_STATE
    run: Path = DEFAULT_RUN
    cache: Path = DEFAULT_CACHE
    socket: Path = Path(DEFAULT_SOCKET)

    @property
    def content(self) -> Path:
        """Blobs by digest: `blobs/sha256/<hex>`."""
        return self.state / "content"

    @property
    def layers(self) -> Path:
        """Layers unpacked once: one directory per chain id."""
        return self.state / "layers"

    @property
    def database(self) -> Path:
        """SQLite: images, containers, leases."""
        return self.state / "aethelred.db"

    @property
    def lock(self) -> Path:
        """Held by the one daemon that owns `state`."""
        return self.state / "aethelred.lock"

    @property
    def grpc(self) -> Path:
        """A 0700 directory for the socket behind the front."""
        return self.run / "grpc"

    def container(self, container_id: str) -> ContainerLayout:
        """The paths of that container; nothing is made."""
        return ContainerLayout(
            state=self.state / "containers" / container_id,
            bundle=self.run / "containers" / container_id,
        )
