"""attach: bytes to and from a running container, or one that is to be started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aethel_common.errors import WrongState
from aethel_d.engine import look
from aethel_d.engine import start as starting
from aethel_d.engine.context import Ending, Engine
from aethel_d.engine.model import Exit, Status, Window
from aethel_d.engine.wait import settled
from aethel_d.monitor import protocol
from aethel_d.monitor.client import Connection

_SETTLE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that the container wrote."""

    is_stderr: bool
    data: bytes


class Attachment:
    """One client's hold on a container's streams. `output` in one thread, the rest in another."""

    def __init__(
        self,
        engine: Engine,
        container_id: str,
        ending: Ending,
        connection: Connection,
        *,
        feeds_pipe: bool,
        story: bytes,
    ) -> None:
        self.story = story
        """Of the start, if that is to be told: JSON lines."""
        self._engine = engine
        self._container_id = container_id
        self._ending = ending
        self._connection = connection
        self._feeds_pipe = feeds_pipe

    def output(self) -> Iterator[Chunk | Exit]:
        """What it writes, then, when all about its end is settled, how it ended. Ends early after `close`."""
        while message := self._connection.receive():
            kind, data = message[:1], message[1:]
            if kind == protocol.CONTROL:
                if isinstance(protocol.to_client(data), protocol.Exited):
                    break
            else:
                yield Chunk(kind == protocol.STDERR, data)
        else:
            if look.status_of(self._engine, self._engine.containers.get(self._container_id)) is Status.RUNNING:
                return  # closed by us, or its monitor let go of a client that had fallen behind
        yield settled(self._engine, self._container_id, self._ending, seconds=_SETTLE_SECONDS)

    def write(self, data: bytes) -> None:
        """Bytes for its stdin; waits while it does not read. Nothing happens once it has ended."""
        self._quietly(lambda: self._connection.feed(data))

    def close_stdin(self) -> None:
        """End of file for its stdin."""
        self._quietly(lambda: self._connection.tell(protocol.CloseStdin()))

    def resize(self, window: Window) -> None:
        """The terminal's size."""
        self._quietly(lambda: self._connection.tell(protocol.Resize(rows=window.rows, columns=window.columns)))

    def signal(self, number: int) -> None:
        """A signal for its first process."""
        self._quietly(lambda: self._connection.tell(protocol.Signal(number=number)))

    def detach(self) -> None:
        """The client has gone: wake `output`, which then ends. The container goes on, without more stdin in a pipe."""
        if self._feeds_pipe:
            self.close_stdin()
        self._connection.shut_down()

    def close(self) -> None:
        """Let go of everything."""
        self._connection.close()
        self._engine.ends.forget(self._container_id, self._ending)

    @staticmethod
    def _quietly(action: Callable[[], None]) -> None:
        try:
            action()
        except (WrongState, OSError):
            pass


def attach(
    engine: Engine, wanted: str, *, start: bool, stdin: bool, stdout: bool, stderr: bool, size: Window | None
) -> Attachment:
    """Attach to a running container; with `start`, start it once we are attached, so that no byte is missed."""
    container_id = engine.containers.find(wanted)
    request = protocol.Attach(stdin=stdin, stdout=stdout, stderr=stderr)
    ending = engine.ends.expect(container_id)
    connections: list[Connection] = []
    story = b""

    def connect(path: Path) -> None:
        connection = Connection(path)
        connections.append(connection)
        connection.ask(request)
        if size is not None:
            connection.tell(protocol.Resize(rows=size.rows, columns=size.columns))

    try:
        if start:
            story = starting.start(engine, container_id, before_running=connect).story
        else:
            connect(engine.layout.container(container_id).monitor_socket)
    except BaseException:
        engine.ends.forget(container_id, ending)
        for connection in connections:
            connection.close()
        raise
    feeds_pipe = stdin and not engine.containers.get(container_id).config.terminal
    return Attachment(engine, container_id, ending, connections[0], feeds_pipe=feeds_pipe, story=story)
