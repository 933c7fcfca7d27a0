"""A container's life after it was created: its streams, its clients, its end."""

from __future__ import annotations

import os
import socket
import termios
from collections.abc import Callable
from typing import Final

import msgspec

from aethel_common.errors import WrongState
from aethel_common.linux import processes
from aethel_d.monitor import protocol
from aethel_d.monitor.clients import Client
from aethel_d.monitor.handover import Handover
from aethel_d.monitor.logfile import LogFile
from aethel_d.monitor.loop import Loop
from aethel_d.monitor.streams import Input, Output

_STREAM_BYTE: Final = (protocol.STDOUT, protocol.STDERR)


class Supervisor:
    """Copies streams, answers clients and reaps the container's first process; all in one loop.

    `on_exit(wait status)` is called once, as soon as that process has ended.
    """

    def __init__(
        self,
        *,
        handover: Handover,
        log: LogFile,
        on_exit: Callable[[os.waitid_result], None],
    ) -> None:
        self._pidfd = handover.pidfd
        self._console_fd = handover.console
        self._log = log
        self._on_exit = on_exit
        self._clients: list[Client] = []
        self._exited = False
        self.loop = Loop()
        self._outputs: list[Output] = []
        self._input: Input | None = None
        if handover.console is not None:
            self._use_terminal(handover.console)
        else:
            self._use_pipes(handover)
        self._listener = socket.socket(fileno=handover.listener)
        self._listener.setblocking(False)
        self.loop.add(handover.listener, self._accept)

    def run(self) -> None:
        """Supervise until the container has ended and everyone attached has had its last byte."""
        for output in self._outputs:
            output.resume()
        self.loop.add(self._pidfd, self._reap)
        self.loop.run(lambda: self._exited and all(c.is_idle for c in self._clients))
        for client in list(self._clients):
            client.close()

    # -- streams ---------------------------------------------------------------------------------

    def _use_terminal(self, console_fd: int) -> None:
        # epoll holds one entry a descriptor, and the two directions are paused apart.
        self._outputs = [Output(os.dup(console_fd), False, self.loop, self._pass_on)]
        self._input = Input(os.dup(console_fd), True, self.loop)

    def _use_pipes(self, pipes: Handover) -> None:
        assert pipes.stdout is not None
        assert pipes.stderr is not None
        self._outputs = [
            Output(pipes.stdout, False, self.loop, self._pass_on),
            Output(pipes.stderr, True, self.loop, self._pass_on),
        ]
        if pipes.stdin is not None:
            self._input = Input(pipes.stdin, False, self.loop)

    def _pass_on(self, is_stderr: bool, data: bytes) -> None:
        self._log.write(is_stderr, data)
        for client in list(self._clients):
            if client.wants(is_stderr):
                client.send(_STREAM_BYTE[is_stderr] + data)
        self._balance()

    def _balance(self) -> None:
        """Let the container wait while somebody attached is far behind."""
        if self._exited:
            return
        if any(client.is_full for client in self._clients):
            for output in self._outputs:
                output.pause()
        else:
            for output in self._outputs:
                output.resume()

    # -- the end ---------------------------------------------------------------------------------

    def _reap(self) -> None:
        result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        assert result is not None
        self.loop.remove(self._pidfd)
        self._exited = True
        self._on_exit(result)
        # Nothing of its PID namespace is left, so what the pipes hold now is all there will be.
        for output in self._outputs:
            output.drain()
        message = protocol.control(protocol.Exited())
        for client in list(self._clients):
            if client.watching or client.attached:
                client.send(message)

    # -- clients ---------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        self._clients.append(Client(connection, self.loop, self._serve, self._clients_changed))

    def _clients_changed(self) -> None:
        self._clients = [client for client in self._clients if not client.closed]
        self._balance()

    def _serve(self, client: Client, message: bytes) -> None:
        if message[:1] == protocol.STDIN:
            self._feed(client, message[1:])
            return
        try:
            request = protocol.from_client(message[1:])
        except msgspec.DecodeError as error:
            client.send(protocol.control(protocol.Failed(kind="InvalidArgument", message=f"monitor: {error}")))
            return
        self._answer(client, request)

    def _answer(self, client: Client, request: protocol.FromClient) -> None:
        match request:
            case protocol.Watch():
                client.watching = True
                client.send(protocol.control(protocol.Welcome()))
            case protocol.Attach():
                client.attached = request
                client.send(protocol.control(protocol.Welcome()))
            case protocol.CloseStdin():
                if self._input is not None and client.attached is not None and client.attached.stdin:
                    self._input.close()
            case protocol.Resize():
                if self._console_fd is not None:
                    termios.tcsetwinsize(self._console_fd, (request.rows, request.columns))
            case protocol.Signal():
                client.send(protocol.control(self._signal(request.number)))
        if self._exited and (client.watching or client.attached):
            client.send(protocol.control(protocol.Exited()))

    def _signal(self, number: int) -> protocol.ToClient:
        try:
            processes.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return protocol.Failed.of(WrongState("the container has ended"))
        return protocol.Done()

    def _feed(self, client: Client, data: bytes) -> None:
        if self._input is None or client.attached is None or not client.attached.stdin:
            return
        if not self._input.write(data, client.resume_reading):
            client.pause_reading()
