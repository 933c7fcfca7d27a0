"""Filters in the kernel: what a call under them answers, and that ordinary programs do not notice the default one."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from aethel_common.errors import TimedOut, Unavailable
from aethel_common.linux import processes, seccomp
from aethel_common.linux.seccomp import FilterFlag, Return
from aethel_run.seccomp import notify
from aethel_run.seccomp.compile import Filter, compile_profile
from aethel_run.seccomp.profile import default_profile
from aethel_run.seccomp.tables import architectures_of, numbers
from aethel_run.spec.process import Document
from aethel_run.spec.seccomp import Action, Architecture, Argument, Flag, Operator, Seccomp, Syscall
from tests.harness import filtered

MACHINE = platform.machine()
NR = numbers(architectures_of(MACHINE)[0])
on_x86_64 = pytest.mark.skipif(MACHINE != "x86_64", reason="calls of i386 and x32 are made on x86_64 only")


def profile(*rules: Syscall, default: Action = Action.ALLOW, flags: tuple[Flag, ...] = ()) -> Filter:
    return compile_profile(Seccomp(default_action=default, syscalls=rules, flags=flags), MACHINE)


def on(name: str, action: Action, *args: Argument, number: int | None = None) -> Syscall:
    return Syscall(names=(name,), action=action, errno_ret=number, args=args)


def ask(name: str, *arguments: int) -> Callable[[], int]:
    return lambda: filtered.call(NR[name], *arguments)


def default(*capabilities: str) -> Filter:
    return compile_profile(default_profile(frozenset(capabilities), MACHINE), MACHINE)


def test_errno_is_what_the_call_answers() -> None:
    assert filtered.run(profile(on("getppid", Action.ERRNO, number=errno.EXDEV)), ask("getppid")).result == -errno.EXDEV
    assert filtered.run(profile(on("getppid", Action.ERRNO)), ask("getppid")).result == -errno.EPERM
    assert filtered.run(profile(on("getppid", Action.ERRNO, number=0)), ask("getppid")).result == 0


@pytest.mark.parametrize("action", [Action.KILL, Action.KILL_THREAD, Action.KILL_PROCESS])
def test_kill_ends_the_process_by_sigsys(action: Action) -> None:
    ended = filtered.run(profile(on("getppid", action)), ask("getppid"))
    assert (ended.result, ended.signal) == (None, signal.SIGSYS)


def test_trap_is_a_signal_that_can_be_handled() -> None:
    def trapped() -> int:
        caught: list[int] = []
        signal.signal(signal.SIGSYS, lambda number, _: caught.append(number))
        filtered.call(NR["getppid"])
        return caught[0]

    assert filtered.run(profile(on("getppid", Action.TRAP)), trapped).result == signal.SIGSYS
    assert filtered.run(profile(on("getppid", Action.TRAP)), ask("getppid")).signal == signal.SIGSYS


def test_log_lets_the_call_through() -> None:
    assert filtered.run(profile(on("getppid", Action.LOG), flags=(Flag.LOG,)), ask("getppid")).result == os.getpid()


def test_trace_without_a_tracer_answers_enosys() -> None:
    assert filtered.run(profile(on("getppid", Action.TRACE)), ask("getppid")).result == -errno.ENOSYS


@pytest.mark.parametrize("flag", [Flag.TSYNC, Flag.LOG, Flag.SPEC_ALLOW])
def test_each_flag_of_the_specification_is_taken_by_the_kernel(flag: Flag) -> None:
    compiled = profile(on("getppid", Action.ERRNO), flags=(flag,))
    assert filtered.run(compiled, ask("getppid")).result == -errno.EPERM


def test_arguments_are_compared_in_all_64_bits() -> None:
    operators = {
        Operator.EQ: [False, True, False],
        Operator.NE: [True, False, True],
        Operator.LT: [True, False, False],
        Operator.LE: [True, True, False],
        Operator.GT: [False, False, True],
        Operator.GE: [False, True, True],
    }
    value = 0x5_0000_0007
    for operator, expected in operators.items():
        condition = Argument(index=1, op=operator, value=value)
        compiled = profile(on("getppid", Action.ERRNO, condition))
        for probes in ([value - 1, value, value + 1], [7, value, 0x6_0000_0007]):
            answered = filtered.run(compiled, lambda probes=probes: [ask("getppid", 0, probe)() for probe in probes])
            assert [answer == -errno.EPERM for answer in answered.result] == expected, operator  # type: ignore[attr-defined]
    masked = Argument(index=5, op=Operator.MASKED_EQ, value=0xF_0000_00F0, value_two=0x1_0000_0020)
    compiled = profile(on("getppid", Action.ERRNO, masked))
    probes = [0x1_0000_0020, 0xF1_0000_FF2F, 0x2_0000_0020, 0x1_0000_0030]
    answered = filtered.run(compiled, lambda: [ask("getppid", 0, 0, 0, 0, 0, probe)() for probe in probes])
    assert [answer == -errno.EPERM for answer in answered.result] == [True, True, False, False]  # type: ignore[attr-defined]


def test_calls_newer_than_the_profile_answer_enosys() -> None:
    allowed = Syscall(names=("write", "exit_group", "getppid"), action=Action.ALLOW)
    compiled = profile(allowed, default=Action.ERRNO)
    assert filtered.run(compiled, ask("read")).result == -errno.EPERM
    assert filtered.run(compiled, ask("pidfd_open", os.getpid(), 0)).result == -errno.ENOSYS
    assert filtered.run(compiled, lambda: filtered.call(9999)).result == -errno.ENOSYS


def test_who_is_not_privileged_needs_no_new_privs() -> None:
    compiled = profile(on("getppid", Action.ERRNO))
    assert filtered.run(compiled, ask("getppid"), no_new_privs=False).result == -errno.EPERM

    def as_nobody(no_new_privs: bool) -> object:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reading)
                os.setresuid(65534, 65534, 65534)
                ended = filtered.run(compiled, ask("getppid"), no_new_privs=no_new_privs)
                os.write(writing, json.dumps(ended.result).encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            return json.loads(pipe.read())

    assert as_nobody(no_new_privs=True) == -errno.EPERM
    assert as_nobody(no_new_privs=False) == ["OSError", errno.EACCES]


def test_the_kernel_is_asked_what_it_has() -> None:
    assert all(seccomp.has_action(action) for action in Return)
    assert seccomp.has_flag(FilterFlag.LOG)
    assert seccomp.has_flag(FilterFlag.WAIT_KILLABLE_RECV)
    assert not seccomp.has_flag(FilterFlag(1 << 20))
    assert Path("/proc/self/status").read_text().split("Seccomp:")[1].split()[0] == "0"  # asking filtered nobody


# The default profile.


def test_the_default_profile_denies_what_it_says() -> None:
    denials = {
        "keyctl": errno.EPERM,
        "bpf": errno.EPERM,
        "io_uring_setup": errno.EPERM,
        "userfaultfd": errno.EPERM,
        "perf_event_open": errno.EPERM,
        "unshare": errno.EPERM,
        "mount": errno.EPERM,
        "kexec_load": errno.EPERM,
        "finit_module": errno.EPERM,
        "clone3": errno.ENOSYS,
    }
    answered = filtered.run(default(), lambda: {name: ask(name)() for name in denials})
    assert answered.result == {name: -number for name, number in denials.items()}


def test_cve_2026_31431_af_alg_and_af_vsock_are_out_of_reach() -> None:
    def ways() -> list[int]:
        stream = socket.SOCK_SEQPACKET
        return [ask("socket", family | above << 32, stream, 0)() for family in (38, 40) for above in (0, 1, 0xFFFFFFFF)]

    assert filtered.run(default(), ways).result == [-errno.EPERM] * 6
    assert filtered.run(default(), lambda: ask("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0)() > 0).result is True


@on_x86_64
def test_cve_2026_31431_nor_through_the_calls_of_i386() -> None:
    numbers_i386 = numbers(Architecture.X86)
    bare = filtered.run(default(), lambda: filtered.call_i386(numbers_i386["getppid"], 0))
    if bare.signal == signal.SIGSEGV:
        pytest.skip("this kernel runs no 32-bit programs")
    assert bare.result == os.getpid()
    assert filtered.run(default(), lambda: filtered.call_i386(numbers_i386["socketcall"], 1)).result == -errno.EPERM
    assert filtered.run(default(), lambda: filtered.call_i386(numbers_i386["socketcall"], 2)).result == -errno.EFAULT
    assert filtered.run(default(), lambda: filtered.call_i386(numbers_i386["socket"], 38)).result == -errno.EPERM
    assert filtered.run(default(), lambda: filtered.call_i386(numbers_i386["keyctl"], 0)).result == -errno.EPERM


@on_x86_64
def test_a_call_of_x32_kills_the_process() -> None:
    assert filtered.run(default(), lambda: filtered.call(0x40000000 | NR["getppid"])).signal == signal.SIGSYS


def test_cve_2016_10124_no_input_is_pushed_into_the_terminal() -> None:
    master, slave = os.openpty()
    letter = array.array("b", b"x")
    address, _ = letter.buffer_info()
    try:
        requests = [request | above << 32 for request in (0x5412, 0x541C) for above in (0, 1)]
        ended = filtered.run(default(), lambda: [ask("ioctl", slave, request, address)() for request in requests])
        assert ended.result == [-errno.EIO] * 4
        size = struct.pack("HHHH", 24, 80, 0, 0)
        assert (
            filtered.run(default(), lambda: fcntl.ioctl(slave, 0x5414, size).hex()).result == size.hex()
        )  # TIOCSWINSZ
    finally:
        os.close(master)
        os.close(slave)


def run_program(compiled: Filter, arguments: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Under the filter from before its execve on; the filter outlives it."""

    def under_filter() -> None:
        processes.set_no_new_privs()
        seccomp.set_mode_filter(compiled.program, compiled.flags)

    return subprocess.run(
        arguments,
        preexec_fn=under_filter,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )


SHELL = """
set -e
cd "$(mktemp -d)"
echo one > a; cp a b; ln -s a c; ln b d; mv d e; chmod 600 e; mkdir f; touch -d @1 f/g
mkfifo h; (echo through > h) & cat h; wait
tar cf - . | (mkdir out; cd out; tar xf -)
sort a b | uniq -c; find . -name g; grep -q one a; dd if=/dev/zero of=z bs=4k count=4 2>/dev/null; stat -c %s z
sleep 0.01; kill -0 $$; date -u -d @0 +%Y; id -u; ps >/dev/null; df . >/dev/null; nice true
rm -r out; echo done
"""

PYTHON = """
import asyncio, ctypes, hashlib, mmap, multiprocessing, os, select, signal
import socket, sqlite3, subprocess, tempfile, threading, time
out = []
threads = [threading.Thread(target=out.append, args=(number,)) for number in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
assert sorted(out) == [0, 1, 2, 3]
assert subprocess.check_output(["/bin/sh", "-c", "echo sub"]) == b"sub\\n"
server = socket.create_server(("127.0.0.1", 0)); client = socket.create_connection(server.getsockname())
server.accept()[0].sendall(b"hello"); assert client.recv(5) == b"hello"
with tempfile.TemporaryDirectory() as where:
    base = sqlite3.connect(where + "/x.db"); base.execute("create table t (x)"); base.commit(); base.close()
async def go(): await (await asyncio.create_subprocess_exec("true")).wait(); await asyncio.sleep(0)
asyncio.run(go())
with multiprocessing.get_context("fork").Pool(2) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]
with multiprocessing.get_context("spawn").Pool(1) as pool: assert pool.map(abs, [-3]) == [3]
mmap.mmap(-1, 4096); os.memfd_create("x"); select.epoll(); signal.setitimer(signal.ITIMER_REAL, 0); os.getrandom(8)
os.pidfd_open(os.getpid()); os.sched_getaffinity(0); os.posix_spawn("/bin/true", ["true"], {}); os.wait()
time.sleep(0.001); print("done")
"""


def test_a_static_busybox_does_its_work_under_the_default_profile() -> None:
    busybox = shutil.which("busybox")
    assert busybox, "tools/system-packages test installs it"
    done = run_program(default(), [busybox, "sh", "-c", SHELL])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "done"
    assert "through" in done.stdout


def test_python_does_its_work_under_the_default_profile() -> None:
    """Threads and processes start: clone3 falls back to clone."""
    done = run_program(
        default(), ["/usr/bin/python3" if Path("/usr/bin/python3").exists() else "python3", "-c", PYTHON]
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "done\n"


PROGRAMS = {
    "ls": ["ls", "-laR", "/etc"],
    "tar": ["sh", "-c", "tar czf - /etc/passwd 2>/dev/null | tar tzf -"],
    "perl": ["perl", "-e", "use Socket; socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) or die; fork; wait; print 1"],
    "git": ["git", "--version"],
    "dpkg": ["dpkg", "-l"],
    "gcc": ["sh", "-c", "echo 'int main(){return 0;}' | gcc -x c - -o /dev/null"],
    "openssl": ["openssl", "rand", "-hex", "8"],
    "find": ["find", "/usr/share", "-maxdepth", "2", "-newer", "/etc/passwd"],
    "awk": ["awk", 'BEGIN { "date" | getline now; print now }'],
    "ip": ["ip", "address"],
    "curl": ["curl", "--version"],
    "setpriv": ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "true"],
}


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_an_ordinary_program_runs_the_same_with_and_without_the_default_profile(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    bare = subprocess.run(PROGRAMS[program], capture_output=True, text=True, check=False)
    done = run_program(default(), PROGRAMS[program])
    assert (done.returncode, bool(done.stderr)) == (bare.returncode, bool(bare.stderr)), done.stderr


def test_programs_of_these_tests_are_filtered() -> None:
    done = run_program(default(), ["grep", "-E", "^(Seccomp|Seccomp_filters):", "/proc/self/status"])
    assert done.stdout.split() == ["Seccomp:", "2", "Seccomp_filters:", "1"]


def test_with_cap_sys_admin_the_profile_allows_namespaces() -> None:
    done = run_program(default("CAP_SYS_ADMIN"), ["unshare", "--mount", "--uts", "hostname", "inside"])
    assert (done.returncode, done.stderr) == (0, "")
    assert run_program(default(), ["unshare", "--mount", "--uts", "hostname", "inside"]).returncode != 0


# SCMP_ACT_NOTIFY.

NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101


class State(Document, frozen=True, kw_only=True):
    oci_version: str
    id: str
    status: str
    pid: int
    bundle: str


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A seccomp agent's socket, at a path too long for sun_path."""
    directory = tmp_path / ("long" * 30)
    directory.mkdir()
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(f"/proc/self/fd/{fd}/agent")
        os.close(fd)
        server.listen()
        yield server, str(directory / "agent")


def state(pid: int) -> State:
    return State(oci_version="1.3.0", id="web", status="creating", pid=pid, bundle="/bundles/web")


def notified_child(compiled: Filter) -> tuple[int, int, int]:
    """The pid of a child that loads the filter and then asks getppid; the listener; where it writes what it got."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            processes.set_no_new_privs()
            listener = seccomp.set_mode_filter(compiled.program, compiled.flags)
            os.write(writing, struct.pack("i", -1 if listener is None else listener))
            os.write(writing, struct.pack("i", filtered.call(NR["getppid"])))
        finally:
            os._exit(0)
    os.close(writing)
    (number,) = struct.unpack("i", os.read(reading, 4))
    pidfd = os.pidfd_open(pid)
    listener = processes.pidfd_getfd(pidfd, number)
    os.close(pidfd)
    return pid, listener, reading


@pytest.mark.parametrize("flags", [(), (Flag.TSYNC,), (Flag.WAIT_KILLABLE_RECV,)])
def test_an_agent_receives_the_listener_and_answers_for_the_kernel(
    agent: tuple[socket.socket, str], flags: tuple[Flag, ...]
) -> None:
    server, path = agent
    compiled = profile(on("getppid", Action.NOTIFY), flags=flags)
    assert compiled.flags & FilterFlag.NEW_LISTENER
    pid, listener, reading = notified_child(compiled)
    notify.send_listener(path, listener, oci_version="1.3.0", pid=pid, state=state(pid), metadata="for you")
    os.close(listener)
    connection, _ = server.accept()
    with connection:
        message, fds, _, _ = socket.recv_fds(connection, 65536, 4)
        assert connection.recv(1) == b""  # one message, then closed
    assert json.loads(message) == {
        "ociVersion": "1.3.0",
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": "for you",
        "state": {"ociVersion": "1.3.0", "id": "web", "status": "creating", "pid": pid, "bundle": "/bundles/web"},
    }
    (theirs,) = fds
    request = bytearray(80)
    fcntl.ioctl(theirs, NOTIF_RECV, request)
    identity, who, _, number = struct.unpack_from("=QIIi", request)
    assert (who, number) == (pid, NR["getppid"])
    fcntl.ioctl(theirs, NOTIF_SEND, bytearray(struct.pack("=QqiI", identity, 4242, 0, 0)))
    assert struct.unpack("i", os.read(reading, 4)) == (4242,)
    os.close(theirs)
    os.close(reading)
    os.waitpid(pid, 0)


def test_an_agent_that_is_not_there_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        for path in (tmp_path / "nobody", tmp_path / "no" / "directory"):
            with pytest.raises(Unavailable, match=str(path)):
                notify.send_listener(str(path), fd, oci_version="1.3.0", pid=1, state=state(1))
    finally:
        os.close(fd)


def test_an_agent_that_does_not_read_is_not_waited_for_longer_than_allowed(
    agent: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = agent
    monkeypatch.setattr(notify, "_TIMEOUT", 0.2)
    large = msgspec.structs.replace(state(1), bundle="x" * 10_000_000)
    with pytest.raises(TimedOut, match="listener"):
        notify.send_listener(path, 0, oci_version="1.3.0", pid=1, state=large)


def test_a_large_state_arrives_whole_and_the_descriptor_once(agent: tuple[socket.socket, str]) -> None:
    server, path = agent
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    pid = os.fork()
    if pid == 0:
        try:
            notify.send_listener(
                path, 0, oci_version="1.3.0", pid=1, state=msgspec.structs.replace(state(1), bundle="x" * 2_000_000)
            )
        finally:
            os._exit(0)
    connection, _ = server.accept()
    received, descriptors = b"", []
    with connection:
        while True:
            chunk, fds, _, _ = socket.recv_fds(connection, 65536, 4)
            descriptors += fds
            if not chunk:
                break
            received += chunk
    for fd in descriptors:
        os.close(fd)
    os.waitpid(pid, 0)
    assert len(json.loads(received)["state"]["bundle"]) == 2_000_000
    assert len(descriptors) == 1
