"""The child's side of clone3: wait, set up, say so, wait for the gate, become the user's program.

Everything is imported before the clone: after pivot_root the standard library is out of reach.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from aethel_common import fdsocket
from aethel_common.errors import AethelError
from aethel_run import explain, story, sync
from aethel_run.init import trees
from aethel_run.init.context import Init
from aethel_run.init.plan import JOIN_STEPS, PLACES, SETUP_STEPS, START_STEPS
from aethel_run.init.step import Failure, run_steps
from aethel_run.init.steps import root
from aethel_run.spec.config import Spec

if TYPE_CHECKING:
    from aethel_run.seccomp.compile import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Birthright:
    """What init gets by the fork itself."""

    spec: Spec
    stdio: tuple[int, int, int] | None
    sync: socket.socket
    gate: socket.socket | None = None
    """Listens; who connects may say Start. None: the parent says it."""
    filter: Filter | None = None
    new_keyring: bool = True
    preserved_fds: int = 0
    without: frozenset[str] = frozenset()
    """Steps that are left out."""


def run(given: Birthright) -> NoReturn:
    """Never returns: ends in execve or in _exit, so that the parent's code does not run twice."""
    sock = given.sync
    try:
        init = _await_go(given)
        if init is None:
            os._exit(1)
        run_steps(SETUP_STEPS, init)
        fdsocket.send(sock, sync.encode(sync.Ready()))
        sock = _await_start(given)
        run_steps(START_STEPS, replace(init, sync=sock))
    except Failure as failure:
        _tell(sock, failure)
    except Exception as error:  # noqa: BLE001 -- the border of the process: nobody else will ever hear of it
        _send(sock, sync.Failed.of("init", "", AethelError(f"internal error: {error!r}")))
    finally:
        os._exit(1)


def run_joining(given: Birthright) -> NoReturn:
    """As `run`, for a process that joins a container: no set-up and no gate."""
    try:
        init = _await_go(given)
        if init is None:
            os._exit(1)
        run_steps(JOIN_STEPS, init)
    except Failure as failure:
        _tell(given.sync, failure)
    except Exception as error:  # noqa: BLE001 -- the border of the process, as above
        _send(given.sync, sync.Failed.of("init", "", AethelError(f"internal error: {error!r}")))
    finally:
        os._exit(1)


def _await_go(given: Birthright) -> Init | None:
    message, fds = fdsocket.receive(given.sync)
    if not message:
        return None
    go = sync.to_init(message)
    assert isinstance(go, sync.Go)
    rootfs_fd, *source_fds = [_open_own_root(go.own_root), *fds] if go.own_root else fds or [-1]
    sources: Mapping[int, int] = dict(zip(go.binds, source_fds, strict=True))
    return Init(
        spec=given.spec,
        process=go.process,
        rootfs_fd=rootfs_fd,
        sources=sources,
        stdio=given.stdio,
        sync=given.sync,
        state=go.state,
        filter=given.filter,
        new_keyring=given.new_keyring,
        preserved_fds=given.preserved_fds,
        without=given.without,
    )


def _open_own_root(path: str) -> int:
    """The user namespace gives the privilege for it that the parent lacks."""
    try:
        return trees.clone(path, recursive=True)
    except OSError as error:
        raise Failure(root.attach_rootfs, error) from error


def _await_start(given: Birthright) -> socket.socket:
    """The socket on which Start came, and on which a failure is told from now on."""
    sock = given.sync
    if given.gate is not None:
        _stop_telling()
        sock, _ = given.gate.accept()
        given.gate.close()
        given.sync.close()
    message, fds = fdsocket.receive(sock)
    if not message:
        os._exit(1)
    start = sync.to_init(message)
    assert isinstance(start, sync.Start)
    if fds:
        story.listen(story.Teller(fds[0], start.story, explain.form(start.story), PLACES))
    return sock


def _stop_telling() -> None:
    """Whoever made the container goes; who starts it says anew whether he wants to hear of it."""
    teller = story.telling()
    if teller is not None:
        story.listen(None)
        os.close(teller.fd)


def _tell(sock: socket.socket, failure: Failure) -> None:
    """Say which step failed, and why."""
    cause, failed = failure.cause, failure.step
    if isinstance(cause, AethelError):
        message = sync.Failed.of(failed.name, failed.man, cause)
    elif isinstance(cause, OSError):
        message = sync.Failed.of_os(failed.name, failed.man, cause)
    else:
        message = sync.Failed.of(failed.name, failed.man, AethelError(f"internal error: {cause!r}"))
    _send(sock, message)


def _send(sock: socket.socket, message: sync.Failed) -> None:
    try:
        fdsocket.send(sock, sync.encode(message))
    except OSError:
        pass  # the parent is gone, and reads the exit status if anything
