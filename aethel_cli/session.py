"""A foreground run: the container's streams on ours, its signals from ours, its exit code as ours."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, cast

import grpc

from aethel_cli import terminal
from aethel_cli.client import Daemon, errors, pb
from aethel_cli.terminal import DETACH_KEYS
from aethel_common.errors import DaemonUnreachable

_UNCAUGHT: Final = frozenset(
    {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH}
    | {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
    | {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT}
)
_CHUNK: Final = 32 * 1024
_RECONNECT_SECONDS: Final = 15.0
"""How long to look for another daemon when one is gone."""
_REFUSED_SECONDS: Final = 2.0
"""A call that fails later than this was not refused: somebody had taken it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """How to attach."""

    container_id: str
    start: bool
    stdin: bool
    terminal: bool
    sig_proxy: bool = True
    detach_keys: str = DETACH_KEYS
    explain: str = ""
    """`text` or `json`: have the story of the start told on stderr."""


def attach(daemon: Daemon, streams: Streams) -> int:
    """Attach, copy until it ends, and return its exit code (0 when detached). Raises AethelError."""
    keys = terminal.DetachKeys(terminal.parse_keys(streams.detach_keys))
    outgoing: queue.SimpleQueue[pb.AttachRequest | None] = queue.SimpleQueue()
    outgoing.put(pb.AttachRequest(open=_open(streams)))
    call = daemon.stub.AttachContainer(iter(outgoing.get, None))
    session = _Session(streams, keys, outgoing, call)
    try:
        with errors(daemon.socket):
            return session.run()
    except DaemonUnreachable:
        if not session.started:
            raise
        print("aethel: the connection to the daemon was lost; output may be missing (see aethel logs)", file=sys.stderr)
        return wait(daemon.socket, streams.container_id)


def wait(socket: str, container_id: str) -> int:
    """The exit code of a container, also across restarts of the daemon. Raises DaemonUnreachable."""
    answered = time.monotonic()
    while True:
        called = time.monotonic()
        try:
            with errors(socket):
                daemon = Daemon(socket)
                end = daemon.stub.WaitContainer(pb.WaitRequest(container_id=container_id))
                return int(end.exit_code)
        except DaemonUnreachable:
            now = time.monotonic()
            if now - called > _REFUSED_SECONDS:
                answered = now
            if now - answered > _RECONNECT_SECONDS:
                raise
            time.sleep(0.2)


def _open(streams: Streams) -> pb.AttachOpen:
    request = pb.AttachOpen(
        container_id=streams.container_id,
        start=streams.start,
        stdin=streams.stdin,
        stdout=True,
        stderr=True,
        explain=streams.explain,
    )
    if streams.terminal and os.isatty(1):
        rows, columns = terminal.size()
        request.size.CopyFrom(pb.WindowSize(rows=rows, columns=columns))
    return request


class _Session:
    def __init__(
        self,
        streams: Streams,
        keys: terminal.DetachKeys,
        outgoing: queue.SimpleQueue[pb.AttachRequest | None],
        call: grpc.Call,
    ) -> None:
        self._streams = streams
        self._keys = keys
        self._outgoing = outgoing
        self._call = call
        self.started = False
        self._detached = False

    def run(self) -> int:
        """Until the end, the detach keys, or the loss of the connection."""
        with ExitStack() as stack:
            try:
                for response in self._responses():
                    if response.WhichOneof("kind") == "exit":
                        return self._ended(response.exit)
                    self._take(response, stack)
            except grpc.RpcError:
                if self._detached:
                    return 0
                raise
            finally:
                self._outgoing.put(None)
                self._call.cancel()
        raise DaemonUnreachable("the daemon ended the connection")

    def _responses(self) -> Iterator[pb.AttachResponse]:
        yield from cast(Iterator[pb.AttachResponse], self._call)

    def _ended(self, end: pb.ContainerExit) -> int:
        if end.error:
            print(f"aethel: container ended: {end.error}", file=sys.stderr)
        return int(end.exit_code)

    def _take(self, response: pb.AttachResponse, stack: ExitStack) -> None:
        match response.WhichOneof("kind"):
            case "started":
                self.started = True
                self._begin(stack)
            case "story":
                _write(2, response.story.encode())
            case "stdout":
                _write(1, response.stdout)
            case "stderr":
                _write(2, response.stderr)

    def _begin(self, stack: ExitStack) -> None:
        """Only now: a failed start must find the terminal and the signals as they were."""
        streams = self._streams
        if streams.terminal and os.isatty(1):
            signal.signal(signal.SIGWINCH, lambda *_: self._resize())
            self._resize()
        if streams.terminal and streams.stdin and os.isatty(0):
            stack.enter_context(terminal.raw(0))
        elif streams.sig_proxy:
            for number in signal.valid_signals() - _UNCAUGHT:
                if number < signal.SIGRTMIN:
                    signal.signal(number, self._forward)
        if streams.stdin:
            threading.Thread(target=self._pump, name="stdin", daemon=True).start()

    def _resize(self) -> None:
        rows, columns = terminal.size()
        self._outgoing.put(pb.AttachRequest(resize=pb.WindowSize(rows=rows, columns=columns)))

    def _forward(self, number: int, _: object) -> None:
        self._outgoing.put(pb.AttachRequest(signal=str(number)))

    def _pump(self) -> None:
        """Our stdin into the container's; a daemon thread, since a read from a terminal cannot be called off."""
        while data := os.read(0, _CHUNK):
            if self._streams.terminal:
                data, detach = self._keys.feed(data)
                if detach:
                    self._detached = True
                    self._call.cancel()
                    return
            # gRPC takes from the queue as fast as the daemon reads; a few chunks in hand are enough.
            while self._outgoing.qsize() > 16:
                time.sleep(0.002)
            if data:
                self._outgoing.put(pb.AttachRequest(stdin=data))
        if not self._streams.terminal:
            self._outgoing.put(pb.AttachRequest(close_stdin=pb.Empty()))


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
