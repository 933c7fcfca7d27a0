"""Who may call: root, and members of the socket's group; anybody else is told so, even one who got at the socket."""

from __future__ import annotations

import grp
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.harness.daemon import BIN, Completed, Daemon

GROUP = grp.getgrall()[1]
"""Some group of the host that is not root's."""
NOBODY = 65534


@pytest.fixture(scope="module")
def open_daemon() -> Iterator[Daemon]:
    """A daemon whose socket anybody can reach."""
    running = Daemon(settings={"socket-group": GROUP.gr_name})
    running.root.chmod(0o755)
    running.socket.chmod(0o666)
    yield running
    running.close()


def call(daemon: Daemon, arguments: tuple[str, ...], *, uid: int, gid: int, groups: str = "") -> Completed:
    # To read, but not to write: nobody else may read a checkout in a private directory, where the command is.
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    whom = [f"--reuid={uid}", f"--regid={gid}", f"--groups={groups}" if groups else "--clear-groups"]
    command = ["setpriv", *whom, *reading, str(BIN / "aethel"), "-H", str(daemon.socket), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    return Completed(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("ps",), 1), (("run", "demo-alpine", "id"), 125), (("logs", "-f", "x"), 1), (("rm", "x"), 1)],
)
def test_who_is_not_in_the_group_is_refused_though_the_socket_is_open(
    open_daemon: Daemon, arguments: tuple[str, ...], code: int
) -> None:
    before = open_daemon.traces()
    done = call(open_daemon, arguments, uid=NOBODY, gid=NOBODY)
    assert (done.code, len(done.error_lines)) == (code, 1), done.err
    assert "you may not use this daemon" in done.err
    assert GROUP.gr_name in done.err
    assert "no daemon answers" not in done.err
    assert open_daemon.traces() == before
    assert "refused a call of process" in open_daemon.log.read_text()


def test_a_member_of_the_group_is_served(open_daemon: Daemon) -> None:
    assert call(open_daemon, ("ps",), uid=NOBODY, gid=GROUP.gr_gid).code == 0
    assert call(open_daemon, ("ps",), uid=NOBODY, gid=NOBODY, groups=f"12345,{GROUP.gr_gid}").code == 0
    done = call(open_daemon, ("run", "--rm", "demo-alpine", "id", "-u"), uid=12345, gid=GROUP.gr_gid)
    assert (done.code, done.out) == (0, "0\n"), done.err


def test_the_socket_is_the_group_s_and_nobody_else_s() -> None:
    running = Daemon(settings={"socket-group": GROUP.gr_name})
    try:
        status = running.socket.stat()
        assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o660, 0, GROUP.gr_gid)
        running.root.chmod(0o755)
        done = call(running, ("ps",), uid=NOBODY, gid=NOBODY)
        assert (done.code, len(done.error_lines)) == (1, 1), done.err
        assert f"you may not use {running.socket}" in done.err
        assert call(running, ("ps",), uid=NOBODY, gid=GROUP.gr_gid).code == 0
        assert os.stat(running.run / "grpc").st_mode & 0o777 == 0o700
    finally:
        running.close()
