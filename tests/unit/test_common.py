"""Names, undo, messages with descriptors, the database."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_common import fdsocket, jsonfile, names
from aethel_common.database import Database
from aethel_common.errors import Corrupt, InvalidArgument, NotFound
from aethel_common.undo import Undo
from aethel_d.monitor.protocol import ExitState


def test_undo_runs_newest_first_and_keeps_both_errors() -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError("cannot undo")

    def work() -> None:
        with Undo() as undo:
            undo.later(lambda: done.append("oldest"))
            undo.later(fail)
            undo.later(lambda: done.append("newest"))
            raise ValueError("first")

    with pytest.raises(ValueError, match="first") as caught:
        work()
    assert done == ["newest", "oldest"]
    assert caught.value.__notes__ == ["while undoing: cannot undo"]


def test_what_is_kept_is_not_undone() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.later(lambda: done.append("undone"))
        undo.keep()
    assert done == []


@pytest.mark.parametrize("name", ["", "a", "-a", "a/b", "a b", "ä" * 3, "a" * 129, "..", "a\n"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidArgument):
        names.check(name)


@given(st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), unique=True, min_size=1, max_size=20), st.data())
def test_a_prefix_finds_its_container_or_says_that_it_fits_several(ids: list[str], data: st.DataObject) -> None:
    pairs = [(each, f"name-{number}") for number, each in enumerate(ids)]
    wanted = data.draw(st.sampled_from(ids))
    prefix = wanted[: data.draw(st.integers(1, 64))]
    if sum(each.startswith(prefix) for each in ids) == 1:
        assert names.find(prefix, pairs) == wanted
    else:
        with pytest.raises(InvalidArgument, match="ambiguous"):
            names.find(prefix, pairs)


def test_an_unknown_container() -> None:
    with pytest.raises(NotFound):
        names.find("nope", [("a" * 64, "b")])


@pytest.mark.parametrize(("text", "number"), [("TERM", 15), ("sigkill", 9), ("SIGUSR1", 10), ("1", 1), ("RTMIN", 34)])
def test_signals_by_name_and_number(text: str, number: int) -> None:
    assert names.signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "NOPE", "-1", "SIG_DFL", "_IGN", "1.5"])
def test_bad_signals(text: str) -> None:
    with pytest.raises(InvalidArgument):
        names.signal_number(text)


def test_a_message_carries_descriptors() -> None:
    one, other = fdsocket.pair()
    read_end, write_end = os.pipe()
    with one, other:
        fdsocket.send(one, b"take this", [write_end])
        message, fds = fdsocket.receive(other)
        assert message == b"take this"
        os.write(fds[0], b"through")
        assert os.read(read_end, 100) == b"through"
        one.close()
        assert fdsocket.receive(other) == (b"", [])
    for fd in (read_end, write_end, *fds):
        os.close(fd)


def test_last_words_are_heard_though_something_was_left_unread() -> None:
    """The kernel tells of the reset before it gives out what was sent."""
    one, other = fdsocket.pair()
    with one, other:
        fdsocket.send(other, b"this went wrong")
        fdsocket.send(one, b"go on")
        other.close()
        assert fdsocket.receive(one) == (b"this went wrong", [])
        assert fdsocket.receive(one) == (b"", [])


def test_a_socket_may_have_a_long_path(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / "s"
    path.parent.mkdir()
    with fdsocket.listen(path) as listener, fdsocket.connect(path) as client:
        server, _ = listener.accept()
        with server:
            fdsocket.send(client, b"x")
            assert fdsocket.receive(server)[0] == b"x"


def test_a_json_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    state = ExitState(code=3, signal=0, finished_ns=1, oom_killed=False)
    jsonfile.replace(path, state)
    assert jsonfile.read(path, ExitState) == state
    path.write_text('{"code": "three"}')
    with pytest.raises(Corrupt, match=r"exit\.json.*code"):
        jsonfile.read(path, ExitState)
    assert os.listdir(tmp_path) == ["exit.json"]


def test_a_transaction_is_whole_or_nothing() -> None:
    with tempfile.TemporaryDirectory() as directory:
        database = Database(Path(directory) / "db", ["CREATE TABLE IF NOT EXISTS t (x INTEGER) STRICT;"])

        def half() -> None:
            with database.transaction() as sql:
                sql.execute("INSERT INTO t VALUES (1)")
                raise ValueError("stop")

        with pytest.raises(ValueError, match="stop"):
            half()
        assert database.read("SELECT * FROM t") == []
        with database.transaction() as sql, database.transaction() as same:
            assert sql is same
            sql.execute("INSERT INTO t VALUES (2)")
        assert [row["x"] for row in database.read("SELECT x FROM t")] == [2]
        database._connection().close()
