"""Run the programs that the document names for moments of a container's life. config.md#posix-platform-hooks

Each gets exactly its own environment, the bundle as its working directory (inside a container, the root) and the state on
stdin. Not by `subprocess`, which brings threads along; and some run in a container's init, which can import nothing more.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

import msgspec

from aethel_common.errors import AethelError, TimedOut
from aethel_common.linux import processes
from aethel_run import story
from aethel_run.spec.hooks import Hook
from aethel_run.spec.state import State

_SAID_BYTES: Final = 4096
"""Of what a hook says, for the error when it fails."""


def run_all(name: str, hooks: Iterable[Hook], state: State, *, directory: str | None = None) -> None:
    """One after the other, in the document's order. Raises AethelError for the first that fails, TimedOut."""
    for index, hook in enumerate(hooks):
        _run(f"hook {name}[{index}] {hook.path}", hook, state, directory or state.bundle)


def run_each(name: str, hooks: Iterable[Hook], state: State, warn: Callable[[str], None]) -> None:
    """All of them, whatever becomes of those before: `warn` is told of each that fails."""
    for index, hook in enumerate(hooks):
        try:
            _run(f"hook {name}[{index}] {hook.path}", hook, state, state.bundle)
        except AethelError as error:
            warn(error.message)


def _run(what: str, hook: Hook, state: State, directory: str) -> None:
    stdin, feed = os.pipe2(os.O_CLOEXEC)
    said, output = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        story.listen(None)  # what becomes of the child is its own story
        _become(hook, directory, stdin, output)
    os.close(stdin)
    os.close(output)
    pidfd = os.pidfd_open(pid)
    try:
        _feed(feed, msgspec.json.encode(state))
        text = _listen(said, pidfd, hook, what)
    except BaseException:
        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
        raise
    finally:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        os.close(said)
    assert result is not None
    if result.si_code != os.CLD_EXITED:
        raise AethelError(f"{what}: ended by signal {result.si_status}{text}")
    if result.si_status != 0:
        raise AethelError(f"{what}: exit status {result.si_status}{text}")


def _become(hook: Hook, directory: str, stdin: int, output: int) -> NoReturn:
    try:
        os.setsid()
        for fd, source in ((0, stdin), (1, output), (2, output)):
            os.dup2(source, fd, inheritable=True)
        os.chdir(directory)
        processes.set_cloexec_from(3)
        _default_signals()
        os.execve(hook.path, list(hook.args or (hook.path,)), dict(entry.partition("=")[::2] for entry in hook.env))
    except OSError as error:
        os.write(2, f"{error.strerror}".encode())
    finally:
        os._exit(127)


def _default_signals() -> None:
    """The interpreter ignores some, and a program would inherit that."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _feed(fd: int, state: bytes) -> None:
    """A state fits into a pipe; a hook need not read it."""
    os.set_blocking(fd, False)
    try:
        os.write(fd, state)
    except (BrokenPipeError, BlockingIOError):
        pass
    finally:
        os.close(fd)


def _listen(fd: int, pidfd: int, hook: Hook, what: str) -> str:
    """What it says until it has ended, cut short. Raises TimedOut."""
    deadline = None if hook.timeout is None else time.monotonic() + hook.timeout
    os.set_blocking(fd, False)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    said = b""
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0) * 1000
        ready = dict(poll.poll(left))
        if not ready:
            raise TimedOut(f"{what}: took longer than {hook.timeout} s")
        if fd in ready:
            data = _read(fd)
            said = (said + data)[-_SAID_BYTES:]
            if not data:
                poll.unregister(fd)
        if pidfd in ready:
            # A daemon that it left behind may hold the pipe for ever: the hook's own end is what counts.
            said = (said + _read(fd))[-_SAID_BYTES:]
            text = " ".join(said.decode(errors="replace").split())
            return f": {text}" if text else ""


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _SAID_BYTES)
    except BlockingIOError:
        return b""
