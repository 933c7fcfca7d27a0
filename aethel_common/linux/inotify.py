"""Be told when a file changes. man 7 inotify"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from aethel_common.linux._libc import Syscall, text
from aethel_common.linux.symbols import Flags


class Watch(Flags, prefix="IN_"):
    """sys/inotify.h"""

    MODIFY = 0x2
    MOVE_SELF = 0x800
    DELETE_SELF = 0x400


_init: Final = Syscall("inotify_init1", ctypes.c_int)
_add: Final = Syscall("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


def watch(path: str, events: Watch) -> int:
    """A non-blocking descriptor that is readable after one of `events` at `path`; the caller's to close."""
    fd = _init(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _add(fd, text(path), events, about=path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def clear(fd: int) -> None:
    """Forget what has been told so far."""
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass
