"""The daemon's pure parts: settings, users, logs, the document of a container, detach keys, tables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aethel_cli import render, terminal
from aethel_common.errors import InvalidArgument
from aethel_d import config
from aethel_d.engine import logs, oci
from aethel_d.engine.model import ContainerConfig
from aethel_d.monitor import users
from aethel_d.monitor.logfile import LogFile
from aethel_storage.oci.documents import RunConfig


def test_settings_come_from_file_then_environment_then_flags(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('bridge = "from-file"\nsubnet = "10.1.0.0/16"\nlog_level = "debug"\n')
    loaded = config.load(file, {"AETHEL_BRIDGE": "from-env", "AETHEL_SUBNET": "10.2.0.0/16"}, {"subnet": "10.3.0.0/16"})
    assert (loaded.bridge, loaded.subnet, loaded.log_level) == ("from-env", "10.3.0.0/16", "debug")


@pytest.mark.parametrize(
    "flags",
    [
        {"bridge": "much-too-long-a-name"},
        {"subnet": "10.0.0.1/16"},
        {"subnet": "10.0.0.0/30"},
        {"state_root": "relative"},
        {"log_level": "loud"},
        {"id_range_start": "many"},
        {"cgroup_parent": "../up"},
    ],
)
def test_bad_settings_are_named(flags: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(flags))):
        config.load(None, {}, flags)


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("brigde = 1\n")
    with pytest.raises(InvalidArgument, match="brigde"):
        config.load(file, {}, {})


@pytest.fixture
def root(tmp_path: Path) -> int:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\napp:x:100:101::/app:/bin/sh\n7:x:8:9::/seven:/\nbig:x:9:9::/:/\n"
    )
    (tmp_path / "etc/group").write_text("root:x:0:\nwww:x:82:app\nhuge:x:99999999999:big\n")
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("", (0, 0, (0,), "/root")),
        ("app", (100, 101, (101, 82), "/app")),
        ("100", (100, 101, (101, 82), "/app")),
        ("app:www", (100, 82, (82,), "/app")),
        ("1234:5", (1234, 5, (5,), "/")),
        ("4294967294", (4294967294, 0, (0,), "/")),
    ],
)
def test_users(root: int, user: str, ids: tuple[object, ...]) -> None:
    found = users.resolve(user, root)
    assert (found.uid, found.gid, found.groups, found.home) == ids


@pytest.mark.parametrize(
    "user", ["-1", "4294967295", "4294967296", str(2**62), "0x0", " 1", "1 ", "app:", "no", "1:no", "big", "\u0661"]
)
def test_bad_users(root: int, user: str) -> None:
    with pytest.raises(InvalidArgument):
        users.resolve(user, root)


def test_users_of_an_image_with_a_fifo_for_passwd(tmp_path: Path) -> None:
    """CVE-2024-9676: it must neither be waited for nor read without an end."""
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    fd = os.open(tmp_path, os.O_PATH)
    assert users.resolve("3", fd).uid == 3
    os.close(fd)


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=50)), max_size=30))
def test_a_log_gives_back_every_byte(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[bool, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "container.log"
    log = LogFile(str(path))
    for is_stderr, data in written:
        log.write(is_stderr, data)
    log.close()
    records = [logs.parse(record) for record in path.read_bytes().split(b"\n")[:-1]]
    for wanted in (False, True):
        assert b"".join(r.data for r in records if r.is_stderr is wanted) == b"".join(
            data for is_stderr, data in written if is_stderr is wanted
        )


def test_the_environment_is_built_from_nothing() -> None:
    image = RunConfig(env=("PATH=/image", "A=image"))
    env = oci.environment(ContainerConfig(image="x", env=("A=mine",), terminal=True), image, "name")
    assert env == ("PATH=/image", "HOSTNAME=name", "TERM=xterm", "A=mine")


@pytest.mark.parametrize(
    ("typed", "passed", "done"), [(b"ab", b"ab", False), (b"a\x10b", b"a\x10b", False), (b"x\x10\x11y", b"x", True)]
)
def test_detach_keys(typed: bytes, passed: bytes, done: bool) -> None:
    keys = terminal.DetachKeys(terminal.parse_keys("ctrl-p,ctrl-q"))
    assert keys.feed(typed) == (passed, done)


@pytest.mark.parametrize("text", ["ctrl-", "ab", "ctrl-1", "ctrl-ab,x", "é"])
def test_bad_detach_keys(text: str) -> None:
    with pytest.raises(InvalidArgument):
        terminal.parse_keys(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (90, "1 minute"), (7300, "2 hours")],
)
def test_ages(seconds: int, text: str) -> None:
    assert render.age(seconds * 1_000_000_000) == text
