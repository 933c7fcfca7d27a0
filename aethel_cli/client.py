"""The daemon as the CLI sees it: the one module of it that names gRPC."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from aethel_common.errors import AethelError, DaemonUnreachable, NotPermitted
from aethel_common.rpc import aethel_pb2 as pb
from aethel_common.rpc import endpoint
from aethel_common.rpc.aethel_pb2_grpc import AethelServiceStub

__all__ = ["Daemon", "connect", "errors", "pb"]


class Daemon:
    """A connection; every failure is an AethelError."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._channel = endpoint.channel(socket)
        self.stub = AethelServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Drop it."""
        self._channel.close()


@contextmanager
def connect(socket: str) -> Iterator[Daemon]:
    """Connect. Raises DaemonUnreachable when nobody answers, NotPermitted when the socket may not be used."""
    _check(socket)
    daemon = Daemon(socket)
    with errors(socket):
        yield daemon


@contextmanager
def errors(socket: str) -> Iterator[None]:
    """Turn a failed call into the daemon's own error."""
    try:
        yield
    except grpc.RpcError as failure:
        from aethel_common.rpc import status

        error = status.from_rpc(failure)
        if isinstance(error, DaemonUnreachable):
            raise _unreachable(socket) from failure
        raise error from failure


def _check(socket: str) -> None:
    if os.path.exists(socket) and not os.access(socket, os.R_OK | os.W_OK):
        raise NotPermitted(f"you may not use {socket}", hint="run as root, or join the group aethel")
    if not os.path.exists(socket):
        raise _unreachable(socket)


def _unreachable(socket: str) -> AethelError:
    return DaemonUnreachable(f"no daemon answers on {socket}", hint="start it with: sudo aethel-d")
