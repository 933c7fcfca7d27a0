"""One thread that watches every monitor, and settles what has ended."""

from __future__ import annotations

import logging
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from aethel_common import names
from aethel_common.errors import AethelError, WrongState
from aethel_common.layout import Layout
from aethel_d.engine.cancel import Cancel
from aethel_d.monitor.client import Connection
from aethel_d.monitor.protocol import Watch

log = logging.getLogger(__name__)


class Watcher:
    """Holds a connection to each running container's monitor; its end, or a word on it, means: settle."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._settle: Callable[[str], None] = lambda container_id: None
        self._selector = selectors.DefaultSelector()
        self._stop = Cancel()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        # A container that is slow to take apart must not keep another's end from being told.
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="settle")

    def start(self, settle: Callable[[str], None]) -> None:
        """Begin; `settle` is called with the id of each container that has ended."""
        self._settle = settle
        self._selector.register(self._stop, selectors.EVENT_READ, "")
        self._thread.start()

    def watch(self, container_id: str) -> None:
        """Watch that container; one that has ended meanwhile is settled at once."""
        try:
            connection = Connection(self._layout.container(container_id).monitor_socket)
        except WrongState:
            self._submit(container_id)
            return
        try:
            connection.ask(Watch())
        except AethelError:
            connection.close()
            self._submit(container_id)
            return
        self._selector.register(connection, selectors.EVENT_READ, container_id)

    def close(self) -> None:
        """Watch no more; containers go on."""
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, Connection):
                key.fileobj.close()
        self._selector.close()
        self._stop.close()

    def _run(self) -> None:
        while not self._stop.is_set:
            for key, _ in self._selector.select():
                if isinstance(key.fileobj, Connection):
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()
                    self._submit(key.data)

    def _submit(self, container_id: str) -> None:
        self._pool.submit(self._settle_one, container_id)

    def _settle_one(self, container_id: str) -> None:
        try:
            self._settle(container_id)
        except Exception:  # the border of a thread
            log.exception("container %s could not be settled", names.short(container_id))
