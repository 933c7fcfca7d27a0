"""The front alone: who may call, and every byte both ways, whatever the two ends do."""

from __future__ import annotations

import os
import selectors
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aethel_common.errors import AlreadyExists, InvalidArgument
from aethel_d import front
from aethel_d.front import Front
from aethel_d.splice import Splice


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: sun_path holds 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="front-") as path:
        yield Path(path)


@contextmanager
def serving(path: Path, prefix: bytes) -> Iterator[None]:
    """A server that answers each connection with `prefix` and all that it was sent, once its end has come."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                received = b""
                while data := connection.recv(65536):
                    received += data
                connection.sendall(prefix + received)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def running(directory: Path) -> Iterator[Front]:
    """A front with a server behind it, and one that refuses."""
    with serving(directory / "up", b"served "), serving(directory / "no", b"refused "):
        listener = front.listen(directory / "s", "no-such-group")
        made = Front(listener, upstream=str(directory / "up"), refusal=str(directory / "no"), group="no-such-group")
        made.start()
        with listener:
            yield made


def call(directory: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(directory / "s"))
        writer = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        writer.start()
        received = b""
        while chunk := client.recv(65536):
            received += chunk
        writer.join()
        return received


def test_every_byte_goes_there_and_back(directory: Path) -> None:
    data = os.urandom(3_000_000)
    with running(directory) as made:
        assert call(directory, data) == b"served " + data
        made.close()


def test_who_may_not_call_is_passed_to_who_says_so(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Front, "_may", lambda *_: False)
    with running(directory) as made:
        assert call(directory, b"please") == b"refused please"
        made.close()


def test_it_stops_accepting_and_then_closes_and_its_thread_ends_well(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    with running(directory) as made:
        assert call(directory, b"before") == b"served before"
        made.stop_accepting()
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(directory / "s"))  # in the queue, for whoever serves it next
            waiting.settimeout(0.2)
            waiting.sendall(b"x")
            with pytest.raises(TimeoutError):
                waiting.recv(1)
        made.close()
    assert died == []


def test_one_callers_trouble_is_not_everybodys(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubles = [KeyError("once")]
    original = Splice._ready

    def ready(self: Splice, sock: socket.socket) -> None:
        if troubles:
            raise troubles.pop()
        original(self, sock)

    monkeypatch.setattr(Splice, "_ready", ready)
    with running(directory) as made:
        assert call(directory, b"hello") == b"served hello"
        assert troubles == []
        assert call(directory, b"again") == b"served again"
        made.close()


def test_two_hundred_callers_come_and_go(directory: Path) -> None:
    with running(directory) as made:
        descriptors = len(os.listdir("/proc/self/fd"))
        for number in range(200):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(directory / "s"))
                if number % 2:
                    client.sendall(b"gone before there is an answer")
        assert call(directory, b"still") == b"served still"
        made.close()
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 20


# -- one pair, round by round ------------------------------------------------------------------------


@pytest.fixture
def pairs() -> Iterator[tuple[selectors.BaseSelector, socket.socket, socket.socket]]:
    """A selector with a splice in it, and the two far ends."""
    with selectors.DefaultSelector() as selector:
        client, one = socket.socketpair()
        server, other = socket.socketpair()
        for sock in (one, other):
            sock.setblocking(False)
        Splice(selector, one, other)
        with client, server:
            for sock in (client, server):
                sock.settimeout(5)
            yield selector, client, server
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


def turn(selector: selectors.BaseSelector, seconds: float = 1) -> int:
    """One round of the front's loop; how many were ready."""
    ready = selector.select(seconds)
    for key, _ in ready:
        key.data()
    return len(ready)


def test_both_ends_may_end_in_the_same_round(
    pairs: tuple[selectors.BaseSelector, socket.socket, socket.socket],
) -> None:
    selector, client, server = pairs
    client.close()
    server.close()
    assert turn(selector) == 2
    while selector.get_map():
        assert turn(selector)


def test_one_end_may_be_reset_while_the_other_speaks(
    pairs: tuple[selectors.BaseSelector, socket.socket, socket.socket],
) -> None:
    """The second one's turn comes when the first has closed both: it must find nothing to do."""
    selector, client, server = pairs
    client.sendall(b"unread by anyone")
    server.sendall(b"never received")
    server.close()
    client.close()
    while selector.get_map():
        assert turn(selector)


def test_a_half_closed_connection_still_answers(
    pairs: tuple[selectors.BaseSelector, socket.socket, socket.socket],
) -> None:
    selector, client, server = pairs
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    turn(selector)
    assert server.recv(100) == b"question"
    turn(selector)
    assert server.recv(100) == b""
    assert turn(selector, 0) == 0  # it does not spin on the end that has come
    server.sendall(b"answer")
    turn(selector)
    assert client.recv(100) == b"answer"
    server.close()
    while selector.get_map():
        assert turn(selector)
    assert client.recv(100) == b""


def test_who_does_not_read_makes_who_writes_wait(
    pairs: tuple[selectors.BaseSelector, socket.socket, socket.socket],
) -> None:
    selector, client, server = pairs
    client.setblocking(False)
    sent = 0
    while turn(selector, 0) or sent == 0:
        try:
            sent += client.send(bytes(65536))
        except BlockingIOError:
            pass
    assert sent < 8_000_000
    received = 0
    while received < sent:
        received += len(server.recv(65536))
        turn(selector, 0)
    client.close()


# -- the socket's file -------------------------------------------------------------------------------


def test_a_file_that_is_no_socket_is_left_alone(directory: Path) -> None:
    (directory / "s").write_text("precious")
    with pytest.raises(InvalidArgument, match="not a socket"):
        front.listen(directory / "s", "no-such-group")
    assert (directory / "s").read_text() == "precious"


def test_a_socket_that_answers_is_left_alone(directory: Path) -> None:
    with front.listen(directory / "s", "no-such-group"):
        with pytest.raises(AlreadyExists):
            front.listen(directory / "s", "no-such-group")
        assert (directory / "s").is_socket()


def test_a_stale_socket_is_replaced(directory: Path) -> None:
    front.listen(directory / "s", "no-such-group").close()
    with front.listen(directory / "s", "no-such-group"):
        assert (directory / "s").stat().st_mode & 0o777 == 0o660
