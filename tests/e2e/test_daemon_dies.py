"""Containers do not notice that the daemon is killed, and the next daemon knows all about them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time

import pytest

from aethel_common import process
from tests.harness import host
from tests.harness.daemon import BIN, Daemon
from tests.harness.host import wait_until


def test_everything_goes_on_after_a_restart(own_daemon: Daemon) -> None:
    daemon = own_daemon
    ticking = daemon.detached("n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done")
    ending = daemon.detached("sleep 1; exit 9")
    pid = daemon.inspect(ticking)["State"]["Pid"]
    daemon.kill9()
    time.sleep(1.2)  # one of the two ends while nobody looks
    daemon.start()
    detail = daemon.inspect(ticking)
    assert (detail["State"]["Running"], detail["State"]["Pid"]) == (True, pid)
    assert daemon.aethel("wait", ending).out == "9\n"
    follower = daemon.spawn("logs", "-f", ticking, stdout=subprocess.PIPE)
    assert daemon.aethel("stop", "-t", "0", ticking).code == 0
    numbers = [int(line) for line in follower.communicate(timeout=10)[0].split()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 20
    assert daemon.aethel("wait", ticking).out == "137\n"
    assert daemon.aethel("rm", ticking, ending).code == 0


def test_a_wait_lives_through_a_restart(own_daemon: Daemon) -> None:
    name = own_daemon.detached("sleep 5; exit 4")
    waiting = own_daemon.spawn("wait", name, stdout=subprocess.PIPE)
    running = own_daemon.spawn(
        "run", "--name", "front", "demo-alpine", "sh", "-c", "sleep 5; exit 6", stderr=subprocess.PIPE
    )
    assert wait_until(lambda: own_daemon.aethel("ps", "-q").out.count("\n") == 2)
    own_daemon.kill9()
    own_daemon.start()
    assert waiting.communicate(timeout=20)[0] == b"4\n"
    assert b"connection to the daemon was lost" in running.communicate(timeout=20)[1]
    assert running.returncode == 6


def test_a_killed_launcher_is_replaced(own_daemon: Daemon) -> None:
    name = own_daemon.detached("sleep 100")
    launcher = own_daemon.info()["LauncherPid"]
    os.kill(launcher, signal.SIGKILL)
    assert own_daemon.shell("exit 3").code == 3
    assert own_daemon.info()["LauncherPid"] != launcher
    assert own_daemon.inspect(name)["State"]["Running"]


@pytest.mark.parametrize("generation", [1, 2], ids=["monitor", "creator"])
def test_what_stands_by_is_replaced_when_it_is_killed(own_daemon: Daemon, generation: int) -> None:
    def child_of(pid: int) -> int:
        assert wait_until(lambda: host.children(pid))
        return host.children(pid)[0]

    pid = own_daemon.info()["LauncherPid"]
    for _ in range(generation):
        pid = child_of(pid)
    os.kill(pid, signal.SIGKILL)
    assert own_daemon.shell("exit 3").code == 3


def test_a_container_does_not_outlive_its_monitor(own_daemon: Daemon) -> None:
    name = own_daemon.detached("sleep 100")
    detail = own_daemon.inspect(name)
    init_start = process.start_time(detail["State"]["Pid"])
    os.kill(detail["MonitorPid"], signal.SIGKILL)
    assert own_daemon.aethel("wait", name).out == "137\n"
    assert own_daemon.inspect(name)["State"]["Error"] == "its monitor was killed"
    assert not process.is_alive(detail["State"]["Pid"], init_start)


def test_it_stops_cleanly_and_leaves_containers_running(own_daemon: Daemon) -> None:
    name = own_daemon.detached("sleep 100")
    pid = own_daemon.inspect(name)["State"]["Pid"]
    assert own_daemon.stop() == 0
    assert not own_daemon.socket.exists()
    assert os.path.exists(f"/proc/{pid}")
    own_daemon.start()
    assert own_daemon.inspect(name)["State"]["Running"]


def test_a_second_daemon_on_the_same_state_is_refused(own_daemon: Daemon) -> None:
    done = subprocess.run(own_daemon.command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(own_daemon.pid) in done.stderr
    assert own_daemon.aethel("version").code == 0


def test_a_stale_socket_is_replaced(own_daemon: Daemon) -> None:
    own_daemon.kill9()
    assert own_daemon.socket.exists()
    own_daemon.start()
    assert own_daemon.aethel("version").code == 0


def test_it_needs_root() -> None:
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(BIN / "aethel-d")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    if "Permission denied" in done.stderr and "must run as root" not in done.stderr:
        # A checkout below a private directory: nobody may read the installed program, so change ids inside it.
        script = "import os; os.setgid(65534); os.setuid(65534); from aethel_d.__main__ import main; main()"
        command = [str(BIN / "python"), "-c", f"import aethel_d.__main__; {script}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "must run as root" in done.stderr


def test_a_passed_socket_is_served_by_the_next_daemon(own_daemon: Daemon) -> None:
    """LISTEN_FDS: a client that calls while no daemon runs is answered when there is one."""
    assert own_daemon.stop() == 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(own_daemon.socket))
        listener.listen()
        for _ in range(2):
            client = own_daemon.spawn("version", stdout=subprocess.DEVNULL)
            time.sleep(0.5)
            assert client.poll() is None
            script = f'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&{listener.fileno()}'
            served = subprocess.Popen(["bash", "-c", script, "-", *own_daemon.command], pass_fds=[listener.fileno()])
            assert client.wait(20) == 0
            served.terminate()
            assert served.wait(20) == 0
            assert own_daemon.socket.exists()
    own_daemon.start()
