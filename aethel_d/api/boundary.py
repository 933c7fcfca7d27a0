"""The border: an AethelError becomes its status, anything else INTERNAL and a traceback in the log."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc

from aethel_common.errors import AethelError, Exhausted, from_os
from aethel_common.rpc import status

log = logging.getLogger(__name__)

WORKERS = 128
STREAMS = 96
"""A stream holds a worker for its whole life; what is above these leaves the short calls their workers."""

_budget = threading.BoundedSemaphore(STREAMS)


def rpc(method: Callable[..., Any]) -> Callable[..., Any]:
    """For a method that answers once."""

    @functools.wraps(method)
    def guarded(servicer: object, request: object, context: grpc.ServicerContext) -> Any:
        try:
            return method(servicer, request, context)
        except Exception as error:  # noqa: BLE001 -- the border of the process
            _abort(method.__name__, error, context)

    return guarded


def waiting(method: Callable[..., Any]) -> Callable[..., Any]:
    """For a method that answers once, but may take as long as a container runs."""

    @functools.wraps(method)
    def guarded(servicer: object, request: object, context: grpc.ServicerContext) -> Any:
        try:
            with _Stream():
                return method(servicer, request, context)
        except Exception as error:  # noqa: BLE001 -- the border of the process
            _abort(method.__name__, error, context)

    return guarded


def stream(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """For a method that answers many times."""

    @functools.wraps(method)
    def guarded(servicer: object, request: object, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            with _Stream():
                yield from method(servicer, request, context)
        except Exception as error:  # noqa: BLE001 -- the border of the process
            _abort(method.__name__, error, context)

    return guarded


class _Stream:
    def __enter__(self) -> None:
        if not _budget.acquire(blocking=False):
            raise Exhausted(f"the daemon serves {STREAMS} streams already")

    def __exit__(self, *_: object) -> None:
        _budget.release()


def _abort(name: str, error: Exception, context: grpc.ServicerContext) -> NoReturn:
    """Called only here: `abort` raises, and nobody else may catch that."""
    if isinstance(error, OSError):
        error = from_os(error, name)
    if isinstance(error, AethelError):
        for note in getattr(error, "__notes__", ()):
            log.warning("%s: %s: %s", name, error.message, note)
        context.set_trailing_metadata(status.to_metadata(error))
        context.abort(status.code_of(error), error.message)
    log.error("%s failed", name, exc_info=error)
    context.abort(grpc.StatusCode.INTERNAL, "internal error; see the daemon's log")
    raise AssertionError("unreachable")
