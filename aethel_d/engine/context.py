"""Engine: the stores and helpers that every verb takes; made once by `assemble`."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aethel_common.database import Database
from aethel_common.layout import Layout
from aethel_d.config import DaemonConfig
from aethel_d.engine.cancel import Cancel
from aethel_d.engine.containers import ContainerStore
from aethel_d.engine.model import Exit
from aethel_d.launcher.client import Launcher
from aethel_net.leases import LeaseStore
from aethel_net.network import Network
from aethel_storage.content import ContentStore
from aethel_storage.images import ImageStore
from aethel_storage.layers import LayerStore


class Locks:
    """One lock per container, for verbs that change it. Reading takes none: a stuck container blocks nobody's view."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def of(self, container_id: str) -> threading.RLock:
        """The lock of one container."""
        with self._guard:
            return self._locks[container_id]

    def forget(self, container_id: str) -> None:
        """The container is gone."""
        with self._guard:
            self._locks.pop(container_id, None)


@dataclass(slots=True, eq=False)
class Ending:
    """Someone's wait for a container's end; `done` is set when everything about it is settled."""

    done: Cancel
    exit: Exit | None = None


class Ends:
    """Who waits for which container to be settled."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: defaultdict[str, list[Ending]] = defaultdict(list)

    def expect(self, container_id: str) -> Ending:
        """Be told of the next end of that container; give it back with `forget`."""
        ending = Ending(done=Cancel())
        with self._guard:
            self._waiting[container_id].append(ending)
        return ending

    def forget(self, container_id: str, ending: Ending) -> None:
        """Wait no more."""
        with self._guard:
            waiting = self._waiting[container_id]
            if ending in waiting:
                waiting.remove(ending)
            if not waiting:
                del self._waiting[container_id]
        ending.done.close()

    def tell(self, container_id: str, end: Exit) -> None:
        """It has ended."""
        with self._guard:
            for ending in self._waiting[container_id]:
                ending.exit = end
                ending.done.set()
            if not self._waiting[container_id]:
                del self._waiting[container_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Everything a verb may need."""

    config: DaemonConfig
    layout: Layout
    database: Database
    containers: ContainerStore
    content: ContentStore
    images: ImageStore
    layers: LayerStore
    leases: LeaseStore
    network: Network
    launcher: Launcher
    cgroup_root: Path
    locks: Locks
    ends: Ends
    watch: Callable[[str], None]
    """Start to watch the monitor of a container that runs."""

    def cgroup_path(self, container_id: str) -> Path:
        """The container's own cgroup."""
        return self.cgroup_root / container_id
