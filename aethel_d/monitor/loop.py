"""Call a function when its descriptor is ready, until someone says stop. man 7 epoll"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT

Callback = Callable[[], None]


class Loop:
    """Level-triggered; a descriptor has one callback, and is named by its number."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}

    def add(self, fd: int, callback: Callback, events: int = READABLE) -> None:
        """Call `callback` whenever `fd` is ready for `events` or its other end is gone."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def remove(self, fd: int) -> None:
        """Stop watching it; nothing when it was not watched. To pause is to remove: EPOLLHUP cannot be masked."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Whether it is watched now."""
        return fd in self._callbacks

    def run(self, finished: Callable[[], bool]) -> None:
        """Wait and call, until `finished` says so."""
        while not finished():
            for fd, _ in self._epoll.poll():
                callback = self._callbacks.get(fd)  # an earlier callback of this round may have removed it
                if callback is not None:
                    callback()
