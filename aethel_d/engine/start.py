"""start: address, bundle, monitor, network, and the container's program; all of it or nothing."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from aethel_common import names, process
from aethel_common.errors import Unavailable, WrongState, from_os
from aethel_common.undo import Undo
from aethel_d.engine import look, namespaces, removal
from aethel_d.engine.asked import ShareMode
from aethel_d.engine.bundle import write_bundle
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Container, NetworkMode, Process, Run, Status, View
from aethel_d.monitor import protocol
from aethel_d.monitor.client import Conversation
from aethel_net import loopback
from aethel_net.model import Endpoint
from aethel_run import story
from aethel_run.lifecycle.plan import Entry, places
from aethel_run.spec.linux import NamespaceType
from aethel_run.story import Act, act

log = logging.getLogger(__name__)


def start(engine: Engine, wanted: str, *, before_running: Callable[[Path], None] | None = None) -> View:
    """Run a container that was created or has stopped.

    `before_running` is called with the path of monitor.sock when all is set up and nothing runs yet: who attaches there
    misses no byte. Raises WrongState when it runs already, StepFailed, CommandNotFound, CannotExecute, Exhausted, ...
    """
    container_id = engine.containers.find(wanted)
    with engine.locks.of(container_id):
        container = engine.containers.get(container_id)
        status = look.status_of(engine, container)
        if status not in (Status.CREATED, Status.STOPPED):
            raise WrongState(f"container {container.name} is {status} already")
        began = time.monotonic_ns()
        try:
            container = _run(engine, container, before_running)
            # Under the lock still: one that has ended already may be removed as soon as it is let go.
            told = engine.layout.container(container_id).story.read_bytes() if container.config.explain else b""
        except OSError as error:
            raise from_os(error, f"start container {names.short(container_id)}") from error
        log.debug("start %s: %.1f ms", names.short(container_id), (time.monotonic_ns() - began) / 1e6)
    engine.watch(container_id)
    return msgspec.structs.replace(look.view_of(engine, container), story=told)


def _run(engine: Engine, container: Container, before_running: Callable[[Path], None] | None) -> Container:
    layout = engine.layout.container(container.id)
    with Undo() as undo, _telling(container, layout.story):
        # Also clears what an earlier run left: its exit.json must not be taken for ours.
        removal.release_runtime(engine, container.id)
        undo.later(lambda: removal.release_runtime(engine, container.id))
        donors = namespaces.donors(container.config, engine.containers)
        endpoint = lease_address(engine, container) if container.config.network is NetworkMode.BRIDGE else None
        write_bundle(engine, container, endpoint, donors)
        conversation, hello = launch_monitor(engine, container, donors)
        undo.later(lambda: _await_end(hello))
        undo.later(conversation.close)
        _wire(engine, conversation, endpoint, container)
        created = conversation.expect(protocol.Created)
        if before_running is not None:
            before_running(layout.monitor_socket)
        conversation.say(protocol.Start())
        running = conversation.expect(protocol.Running)
        run = Run(
            started_ns=running.started_ns,
            monitor=Process(pid=hello.pid, start_time=hello.start_time),
            init=Process(pid=created.pid, start_time=created.start_time),
        )
        container = engine.containers.started(container.id, run)
        undo.keep()
    conversation.close()
    return container


@contextmanager
def _telling(container: Container, path: Path) -> Iterator[None]:
    """Begin the story of this start, if it is wanted; the monitor goes on with it in the same file."""
    path.unlink(missing_ok=True)
    if not container.config.explain:
        yield
        return
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # Without system calls: they would be those of every thread.
        with story.listening(story.Teller(fd, "json", story.encode, _PLACES), calls=False):
            yield
    finally:
        os.close(fd)


@act(man="ip-address(8)", only="with a network")
def lease_address(engine: Engine, container: Container) -> Endpoint:
    """Lease an address of the bridge's subnet, in the database."""
    return engine.leases.allocate(engine.network.bridge, container.id)


@act(man="fork(2) unix(7)")
def launch_monitor(
    engine: Engine, container: Container, donors: Mapping[str, Container]
) -> tuple[Conversation, protocol.Hello]:
    """Have the launcher fork a monitor, which will outlive the daemon, and wait for its hello."""
    # A launcher that died in between is replaced once.
    launch = _launch_message(engine, container, donors)
    for attempt in (1, 2):
        conversation = Conversation(engine.launcher.launch(launch))
        try:
            return conversation, conversation.expect(protocol.Hello)
        except Unavailable:
            conversation.close()
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


def _launch_message(engine: Engine, container: Container, donors: Mapping[str, Container]) -> protocol.Launch:
    layout = engine.layout.container(container.id)
    return protocol.Launch(
        container_id=container.id,
        bundle=str(layout.bundle),
        log=str(layout.log),
        cgroup=str(engine.cgroup_path(container.id)),
        layers=str(engine.layout.layers),
        lower=container.lower,
        upper=str(layout.upper),
        work=str(layout.work),
        user=container.user,
        groups=container.config.privileges.group_add,
        donors=tuple(_donor(each) for each in donors.values()),
        open_stdin=container.config.open_stdin,
        wired=_is_ours_to_wire(container),
        story=str(layout.story) if container.config.explain else "",
        without=container.config.without,
    )


def _is_ours_to_wire(container: Container) -> bool:
    return namespaces.network_share(container.config).mode is ShareMode.PRIVATE


def _donor(container: Container) -> protocol.Donor:
    assert container.run is not None
    init = container.run.init
    return protocol.Donor(name=container.name, pid=init.pid, start_time=init.start_time)


def _wire(engine: Engine, conversation: Conversation, endpoint: Endpoint | None, container: Container) -> None:
    """Put the network into the container's namespace while its root is being set up."""
    if not _is_ours_to_wire(container):
        return
    _, fds = conversation.expect_with_fds(protocol.Cloned)
    try:
        wire_network(engine, endpoint, fds[0])
    finally:
        for fd in fds:
            os.close(fd)
    conversation.say(protocol.Wired())


@act(
    man="veth(4) rtnetlink(7)",
    when=lambda spec: spec.linux.makes(NamespaceType.NETWORK),
    only="with a network namespace of its own",
)
def wire_network(engine: Engine, endpoint: Endpoint | None, netns_fd: int) -> None:
    """Give the network namespace a link to the bridge, an address and a route; without a network, lo alone."""
    teller = story.telling()
    if endpoint is not None:
        engine.network.attach(endpoint, netns_fd, teller.call if teller is not None else None)
    else:
        loopback.up(netns_fd)


BEFORE_THE_MONITOR: Final[Sequence[Act[..., Any]]] = (lease_address, write_bundle, launch_monitor)
_PLACES: Final = places(Entry("D", each) for each in (*BEFORE_THE_MONITOR, wire_network))


def _await_end(monitor: protocol.Hello) -> None:
    """The conversation is closed, so the monitor undoes its part; until then the cgroup is not ours to remove."""
    process.await_end(monitor.pid, monitor.start_time, 10)
