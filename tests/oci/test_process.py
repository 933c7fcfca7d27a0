"""exec, terminals and descriptors: config.md#process, and what callers hand to a runtime."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import termios
from pathlib import Path

import pexpect
import pytest

from aethel_common import process
from tests.harness.host import wait_until
from tests.harness.runtime import RUNTIME, Runtime


@pytest.fixture
def running(runtime: Runtime) -> Runtime:
    runtime.write("sleep", "100")
    runtime.create("one")
    assert runtime("start", "one").code == 0
    return runtime


def test_exec_runs_in_the_container_s_namespaces(running: Runtime) -> None:
    pid = running.state("one")["pid"]
    for kind in ("pid", "mnt", "uts", "ipc", "net", "cgroup"):
        done = running("exec", "one", "readlink", f"/proc/self/ns/{kind}")
        assert done.out.strip() == os.readlink(f"/proc/{pid}/ns/{kind}"), kind
    assert int(running("exec", "one", "sh", "-c", "echo $$").out) > 1


def test_exec_returns_the_program_s_status(running: Runtime) -> None:
    assert running("exec", "one", "sh", "-c", "exit 9").code == 9
    assert running("exec", "one", "sh", "-c", "kill -TERM $$").code == 143
    done = running("exec", "one", "nope")
    assert (done.code, "executable file not found" in done.err) == (255, True)


def test_exec_by_a_document(running: Runtime) -> None:
    document = running.directory / "process.json"
    document.write_text(
        json.dumps(
            {
                "args": ["sh", "-c", "id -u; id -g; echo $A; pwd"],
                "cwd": "/tmp",
                "env": ["PATH=/bin", "A=b"],
                "user": {"uid": 5, "gid": 6},
            }
        )
    )
    pid_file = running.directory / "pid"
    done = running("exec", "--process", str(document), "--pid-file", str(pid_file), "one")
    assert done.out.split() == ["5", "6", "b", "/tmp"]
    assert int(pid_file.read_text()) > 1
    document.write_text(json.dumps({"args": ["true"], "cwd": 1}))
    done = running("exec", "--process", str(document), "one")
    assert (done.code, "$.cwd" in done.err) == (255, True)


def test_exec_by_flags(running: Runtime) -> None:
    done = running(
        "exec",
        "--user",
        "7:8",
        "--cwd",
        "/etc",
        "--env",
        "X=y",
        "--no-new-privs",
        "one",
        "sh",
        "-c",
        "id -u; id -g; pwd; echo $X; cat /proc/self/status",
    )
    assert done.out.split()[:4] == ["7", "8", "/etc", "y"]
    assert "NoNewPrivs:\t1" in done.out


def test_exec_detached_goes_on(running: Runtime) -> None:
    pid_file = running.directory / "pid"
    assert running("exec", "--detach", "--pid-file", str(pid_file), "one", "sleep", "50").code == 0
    pid = int(pid_file.read_text())
    assert process.is_alive(pid, process.start_time(pid))
    assert pid in json.loads(running("ps", "--format", "json", "one").out)


def test_exec_has_the_privileges_of_the_container(running: Runtime) -> None:
    """The class of CVE-2022-29162: nothing inheritable."""
    status = running("exec", "one", "cat", "/proc/self/status").out
    sets = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
    assert int(sets["CapInh"], 16) == int(sets["CapAmb"], 16) == 0
    assert int(sets["CapBnd"], 16) == int(sets["CapEff"], 16) == 0xA80425FB


def test_exec_waits_while_the_container_is_paused(running: Runtime) -> None:
    assert running("pause", "one").code == 0
    assert running.state("one")["status"] == "paused"
    done = running("exec", "one", "true")
    assert (done.code, "paused" in done.err) == (255, True)
    assert running("pause", "one").code == 1
    assert running("resume", "one").code == 0
    assert running("exec", "one", "true").code == 0


def test_the_terminal_comes_over_the_console_socket(runtime: Runtime) -> None:
    """The master by SCM_RIGHTS; runtime-tools and callers agree on it."""
    runtime.write("sh", "-c", "tty; stty size", terminal=True, consoleSize={"height": 12, "width": 34})
    path = runtime.directory / "console"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        done = runtime.create("one", "--console-socket", str(path))
        assert done.code == 0, done.err
        connection, _ = listener.accept()
        with connection:
            _, fds, _, _ = socket.recv_fds(connection, 100, 1)
    assert termios.tcgetwinsize(fds[0]) == (12, 34)
    runtime("start", "one")
    text = b""
    while b"12 34" not in text:
        text += os.read(fds[0], 1000)
    assert text.startswith(b"/dev/pts/0")
    os.close(fds[0])
    assert runtime.create("two").code == 1, "a terminal needs somewhere to go"


def test_run_on_a_terminal(runtime: Runtime) -> None:
    runtime.write("sh", terminal=True)
    shell = pexpect.spawn(
        RUNTIME, ["--root", str(runtime.root), "run", "-b", str(runtime.bundle), "one"], timeout=20, encoding="utf-8"
    )
    shell.delaybeforesend = None
    shell.expect("# ")
    shell.sendline("tty; exit 4")
    shell.expect("/dev/pts/0")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 4


def test_descriptors_are_passed_on_only_when_asked(runtime: Runtime) -> None:
    """CVE-2024-21626: no descriptor of the host but those that were meant."""
    runtime.write("sh", "-c", "ls /proc/self/fd; cat <&3")
    reading, writing = os.pipe()
    os.write(writing, b"passed")
    os.close(writing)
    command = [RUNTIME, "--root", str(runtime.root), "run", "-b", str(runtime.bundle), "--preserve-fds", "1", "one"]
    script = f'exec "$@" 3<&{reading}'
    done = subprocess.run(["bash", "-c", script, "-", *command], pass_fds=[reading], capture_output=True, check=True)
    os.close(reading)
    assert done.stdout.split() == [b"0", b"1", b"2", b"3", b"4", b"passed"]
    assert runtime.run("ls", "/proc/self/fd").out.split() == ["0", "1", "2", "3"]


def test_sockets_of_the_service_manager_are_passed_on(runtime: Runtime) -> None:
    """man 3 sd_listen_fds, man 3 sd_notify"""
    path = runtime.directory / "notify"
    runtime.write(
        "sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $NOTIFY_SOCKET; ls /proc/self/fd | cat; ls -l $NOTIFY_SOCKET"
    )
    command = [RUNTIME, "--root", str(runtime.root), "run", "-b", str(runtime.bundle), "one"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, socket.socket(socket.AF_UNIX) as service:
        manager.bind(str(path))
        environment = {**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": str(path)}
        script = f'exec "$@" 3<&{service.fileno()}'
        done = subprocess.run(
            ["bash", "-c", script, "-", *command],
            pass_fds=[service.fileno()],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == "1 1 /run/notify.sock"
    assert "3" in rest
    assert rest[-1].startswith("s")


def test_the_pidfd_is_sent(runtime: Runtime) -> None:
    path = runtime.directory / "pidfd"
    runtime.write("sleep", "100")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        assert runtime.create("one", "--pidfd-socket", str(path)).code == 0
        connection, _ = listener.accept()
        with connection:
            _, fds, _, _ = socket.recv_fds(connection, 100, 1)
    text = Path(f"/proc/self/fdinfo/{fds[0]}").read_text()
    os.close(fds[0])
    assert f"Pid:\t{runtime.state('one')['pid']}" in text


def test_update_changes_a_limit_or_says_why_it_cannot(running: Runtime) -> None:
    controllers = (
        Path("/sys/fs/cgroup/cgroup.controllers").exists()
        and Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    )
    done = running("update", "--pids-limit", "77", "one")
    if controllers and "pids" in controllers:
        assert done.code == 0
    else:
        assert (done.code, "pids is not a controller" in done.err) == (1, True)
    done = running("update", "--resources", "-", "one", stdin=b'{"memory": {"limit": "x"}}')
    assert (done.code, "$.memory.limit" in done.err) == (1, True)


def test_a_container_may_join_another_s_namespaces(running: Runtime) -> None:
    """config-linux.md#namespaces: path; what makes a pod."""
    pid = running.state("one")["pid"]
    kinds = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}
    running.spec["linux"]["namespaces"] = [
        {"type": kind, "path": f"/proc/{pid}/ns/{name}"} for kind, name in kinds.items()
    ] + [{"type": "mount"}, {"type": "cgroup"}]
    running.spec["hostname"] = ""
    running.spec["linux"]["cgroupsPath"] = f"/{running.prefix}/two"
    done = running.run(
        "sh", "-c", "for n in pid net ipc uts; do readlink /proc/self/ns/$n; done; ls /proc/1/exe >/dev/null"
    )
    assert done.out.split() == [os.readlink(f"/proc/{pid}/ns/{name}") for name in kinds.values()], done.err


@pytest.mark.parametrize(
    ("path", "words"),
    [("/nowhere", "no such file"), ("/proc/self/ns/net", "is not a pid"), ("/etc/passwd", "is not a pid")],
)
def test_a_path_that_is_no_such_namespace_is_an_error(runtime: Runtime, path: str, words: str) -> None:
    """config-linux.md#namespaces: the runtime must generate an error."""
    namespaces = [each for each in runtime.spec["linux"]["namespaces"] if each["type"] != "pid"]
    runtime.spec["linux"]["namespaces"] = [*namespaces, {"type": "pid", "path": path}]
    runtime.write("true")
    done = runtime.create("one")
    assert (done.code, words in done.err) == (1, True), done.err
    assert not (runtime.root / "one").exists()


def test_clocks_of_its_own(runtime: Runtime) -> None:
    """config-linux.md#time-namespace"""
    runtime.spec["linux"]["namespaces"].append({"type": "time"})
    runtime.spec["linux"]["timeOffsets"] = {"boottime": {"secs": 86400 * 400}}
    days = float(runtime.run("cat", "/proc/uptime").out.split()[0]) / 86400
    assert days > 400


def test_the_host_s_interpreter_is_out_of_reach(running: Runtime) -> None:
    """CVE-2019-5736: while a process joins, its /proc/PID/exe is the host's program."""
    binary = Path(os.path.realpath(RUNTIME)).parent / "python"
    before = Path(os.path.realpath(binary)).stat()
    script = (
        "n=0; while [ $n -lt 3000 ]; do for e in /proc/[0-9]*/exe; do case $(readlink $e) in *python*) "
        "echo found $e; echo x >> $e && echo written;; esac; done; n=$((n+1)); done"
    )
    attacker = subprocess.Popen(
        [RUNTIME, "--root", str(running.root), "exec", "one", "sh", "-c", script], stdout=subprocess.PIPE
    )
    for _ in range(10):
        running("exec", "one", "true")
    attacker.kill()
    output = attacker.communicate()[0]
    assert b"written" not in output
    after = Path(os.path.realpath(binary)).stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert wait_until(lambda: running("kill", "one", "KILL").code == 0)
