"""aethel run: streams, exit codes, and what the container sees."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess

import pytest

from tests.harness.daemon import BIN, Daemon
from tests.harness.host import patience, wait_until


def test_stdout_and_stderr_come_apart(daemon: Daemon) -> None:
    done = daemon.shell("echo out; echo err >&2")
    assert (done.code, done.out, done.err) == (0, "out\n", "err\n"), done.err


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_the_command_s(daemon: Daemon, code: int) -> None:
    assert daemon.shell(f"exit {code}").code == code


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("no-such-command", 127, "not found"),
        ("/no/such/file", 127, "no such file"),
        ("/etc", 126, "is a directory"),
        ("/etc/passwd", 126, "permission denied"),
    ],
)
def test_what_cannot_be_run_says_so_in_one_line(daemon: Daemon, command: str, code: int, words: str) -> None:
    done = daemon.aethel("run", "--rm", "demo-alpine", command)
    assert done.code == code
    assert len(done.error_lines) == 1
    assert words in done.err
    assert daemon.aethel("ps", "-aq").out == ""


def test_a_missing_interpreter_is_named(daemon: Daemon) -> None:
    done = daemon.shell("printf '#!/no/such/sh\\n' > /x; chmod +x /x; exec /x")
    assert done.code == 127
    name = daemon.aethel("create", "demo-alpine", "/x").out.strip()
    upper = daemon.state / "containers" / name / "upper"
    (upper / "x").write_text("#!/no/such/sh\r\n")
    (upper / "x").chmod(0o755)
    done = daemon.aethel("start", "-a", name)
    daemon.aethel("rm", name)
    assert done.code == 127
    assert "carriage return" in done.err


def test_a_signal_gives_128_and_its_number(daemon: Daemon) -> None:
    name = daemon.detached("sleep 100")
    daemon.aethel("kill", name)
    assert daemon.aethel("wait", name).out == "137\n"
    daemon.aethel("rm", name)


def test_stdin_is_passed_on_with_its_end(daemon: Daemon) -> None:
    assert daemon.aethel("run", "--rm", "-i", "demo-alpine", "cat", stdin=b"hello").out == "hello"
    assert daemon.aethel("run", "--rm", "demo-alpine", "cat", stdin=b"not passed on").out == ""


def test_twenty_megabytes_arrive_whole(daemon: Daemon) -> None:
    data = os.urandom(20_000_000)
    done = daemon.aethel("run", "--rm", "-i", "demo-alpine", "sha256sum", stdin=data)
    assert done.out.split()[0] == hashlib.sha256(data).hexdigest()
    echoed = subprocess.run(
        [str(BIN / "aethel"), "run", "--rm", "-i", "demo-alpine", "cat"],
        input=data,
        capture_output=True,
        env=daemon.environment,
        check=True,
    )
    assert hashlib.sha256(echoed.stdout).digest() == hashlib.sha256(data).digest()


def test_the_container_is_pid_1_in_a_world_of_its_own(daemon: Daemon) -> None:
    done = daemon.shell(
        "echo $$; hostname; id -u; cat /etc/alpine-release; readlink /proc/self/ns/*; ls /proc | grep -c '^[0-9]'"
    )
    lines = done.out.splitlines()
    assert lines[0] == "1"
    assert len(lines[1]) == 12
    assert lines[2:4] == ["0", "3.23.6"]
    host = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "uts", "mnt", "ipc", "net", "cgroup", "user")}
    assert host.isdisjoint(lines[4:])


def test_root_inside_is_nobody_outside(daemon: Daemon) -> None:
    inside, outside, size = daemon.shell("cat /proc/self/uid_map").out.split()
    assert (inside, size) == ("0", "65536")
    assert int(outside) >= 524288
    name = daemon.detached("touch /made; sleep 100")
    detail = daemon.inspect(name)
    assert os.stat(f"/proc/{detail['State']['Pid']}").st_uid == detail["IdRange"]["HostId"]
    made = daemon.state / "containers" / name / "upper" / "made"
    assert wait_until(made.exists)
    assert made.stat().st_uid == detail["IdRange"]["HostId"]
    daemon.aethel("rm", "-f", name)


def test_files_of_the_image_belong_to_root(daemon: Daemon) -> None:
    assert daemon.shell("stat -c %u:%g / /bin /bin/busybox /etc/passwd /etc/hosts").out.split() == ["0:0"] * 5
    assert daemon.shell("stat -c %u:%g:%a /etc/shadow").out.strip() == "0:0:640"
    assert daemon.shell("grep ^root: /etc/shadow").out == "root:*::0:::::\n"


def test_privileges_are_the_default_set(daemon: Daemon) -> None:
    status = dict(
        line.split(":\t", 1) for line in daemon.shell("cat /proc/self/status").out.splitlines() if ":\t" in line
    )
    assert status["CapInh"].strip("0") == ""
    assert status["CapAmb"].strip("0") == ""
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0xA80425FB
    assert status["NoNewPrivs"].strip() == "0"
    done = daemon.shell("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges")
    assert done.out.split()[1] == "1"


def test_no_signal_is_ignored_or_blocked_at_the_start(daemon: Daemon) -> None:
    out = daemon.aethel("run", "--rm", "demo-alpine", "grep", "-E", "Sig(Ign|Blk)", "/proc/self/status").out
    masks = {name: int(mask, 16) for name, _, mask in (line.partition(":\t") for line in out.splitlines())}
    # 32 and 33 are the C library's own: its posix_spawn, which starts the launcher, ignores them, and lets nobody set them.
    assert {name: mask & ~(0b11 << 31) for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


def test_the_host_is_out_of_sight(daemon: Daemon) -> None:
    mounts = daemon.shell("cut -d' ' -f5 /proc/self/mountinfo").out.split()
    assert mounts[0] == "/"
    assert {"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"} < set(mounts)
    assert all(path.startswith(("/proc", "/dev", "/sys", "/etc/")) for path in mounts[1:])
    assert daemon.shell("wc -c < /proc/keys; echo x > /proc/sys/kernel/hostname").out.strip() == "0"
    assert daemon.shell("ls /proc/self/fd").out.split() == ["0", "1", "2", "3"]  # 3 is ls itself, reading


def test_the_address_is_on_the_bridge(daemon: Daemon) -> None:
    done = daemon.shell("ip -4 -o addr show eth0; ip route; grep $(hostname) /etc/hosts; cat /etc/hostname; hostname")
    prefix = daemon.subnet.rpartition(".")[0]
    assert f"inet {prefix}." in done.out
    assert f"default via {prefix}.1 dev eth0" in done.out
    assert daemon.shell(f"ping -c 1 -W 2 {prefix}.1").code == 0


def test_network_none_and_host(daemon: Daemon) -> None:
    assert daemon.shell("ls /sys/class/net", "--network", "none").out.split() == ["lo"]
    assert daemon.shell("ip -o link show lo", "--network", "none").out.count("UP") >= 1
    assert daemon.bridge in daemon.shell("ls /sys/class/net", "--network", "host").out.split()


def test_options_reach_the_container(daemon: Daemon) -> None:
    done = daemon.shell(
        "id -u; id -g; pwd; echo $A $B $HOME; hostname",
        *("-u", "guest", "-w", "/made/here", "-e", "A=1", "-e", "PASSED_ON", "--hostname", "named"),
    )
    assert done.out.split() == ["405", "100", "/made/here", "1", "/dev/null", "named"]
    done = daemon.aethel("run", "--rm", "--entrypoint", "echo", "demo-alpine", "a", "b")
    assert done.out == "a b\n"
    done = daemon.shell("touch /x 2>&1; echo $?; touch /dev/shm/x && echo fine", "--read-only")
    assert done.out.splitlines()[1:] == ["1", "fine"]
    assert daemon.shell("cat /proc/self/uid_map", "--userns", "host").out.split()[1] == "0"


@pytest.mark.parametrize(("user", "ids"), [("1234", "1234 0"), ("5:6", "5 6"), ("guest:wheel", "405 10"), ("0", "0 0")])
def test_users_by_name_and_number(daemon: Daemon, user: str, ids: str) -> None:
    assert daemon.shell("echo $(id -u) $(id -g)", "-u", user).out.strip() == ids


@pytest.mark.parametrize("user", ["nobody-there", "-1", "4294967296", "0x0", "1:", "1:no-group", " 1", str(2**62)])
def test_bad_users_are_refused(daemon: Daemon, user: str) -> None:
    """CVE-2024-40635: a number out of range is not a name, and does not wrap round to root."""
    done = daemon.aethel("run", "--rm", f"--user={user}", "demo-alpine", "id")
    assert done.code == 125
    assert len(done.error_lines) == 1
    assert daemon.aethel("ps", "-aq").out == ""


@pytest.mark.parametrize("number", range(3, 12))
def test_a_working_directory_cannot_lead_out(daemon: Daemon, number: int) -> None:
    """CVE-2024-21626: /proc/self/fd/N was a directory of the host."""
    done = daemon.aethel("run", "--rm", "-w", f"/proc/self/fd/{number}", "demo-alpine", "pwd")
    assert done.code == 125
    assert len(done.error_lines) == 1


def test_rm_leaves_nothing_even_when_the_client_is_killed(daemon: Daemon) -> None:
    script = "trap exit TERM; sleep 1000 & wait"
    client = daemon.spawn("run", "--rm", "--name", "orphan", "demo-alpine", "sh", "-c", script)
    assert wait_until(lambda: daemon.aethel("ps", "-q").out)
    client.kill()
    client.wait()
    assert daemon.inspect("orphan")["State"]["Running"]
    assert daemon.aethel("kill", "-s", "TERM", "orphan").code == 0
    assert wait_until(lambda: daemon.aethel("ps", "-aq").out == "")


def test_signals_are_passed_on(daemon: Daemon) -> None:
    script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    with daemon.spawn("run", "--rm", "demo-alpine", "sh", "-c", script, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(signal.SIGTERM)
        assert client.stdout.read() == b"got\n"
        assert client.wait(patience(10)) == 7


def test_a_reader_that_leaves_early_ends_it_quietly(daemon: Daemon) -> None:
    script = f"{BIN}/aethel run --rm demo-alpine yes | head -n 1"
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, env=daemon.environment, check=True, timeout=patience(30)
    )
    assert done.stdout == b"y\n"
    assert b"Traceback" not in done.stderr
    ids = daemon.aethel("ps", "-aq").out.split()
    assert daemon.aethel("rm", "-f", *ids).code == 0
