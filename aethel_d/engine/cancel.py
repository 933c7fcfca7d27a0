"""A one-shot flag with a descriptor, so that a poll can wait for it beside other things. man 2 eventfd"""

from __future__ import annotations

import os
import select
import threading


class Cancel:
    """Set once, from any thread; stays set."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._open = True
        self.is_set = False

    def fileno(self) -> int:
        """Readable once it is set."""
        return self._fd

    def set(self) -> None:
        """Wake everyone who waits; nothing after `close`."""
        with self._lock:
            self.is_set = True
            if self._open:
                os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._fd)


def wait_any(*flags: Cancel, seconds: float | None = None) -> bool:
    """Wait until one of them is set; False when the time is over first."""
    poll = select.poll()
    for flag in flags:
        poll.register(flag.fileno(), select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(seconds, 0) * 1000))
