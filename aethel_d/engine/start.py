"""start: address, bundle, monitor, network, and the container's program; all of it or nothing."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from aethel_common import names, process
from aethel_common.errors import Unavailable, WrongState
from aethel_common.undo import Undo
from aethel_d.engine import checks, devices, look, mounts, namespaces, oci, removal
from aethel_d.engine.asked import ShareMode
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Container, NetworkMode, Process, Run, Status, View
from aethel_d.monitor import protocol
from aethel_d.monitor.client import Conversation
from aethel_net import files, loopback
from aethel_net.model import Endpoint
from aethel_run.spec.load import encode

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
        container = _run(engine, container, before_running)
        log.debug("start %s: %.1f ms", names.short(container_id), (time.monotonic_ns() - began) / 1e6)
    engine.watch(container_id)
    return look.view_of(engine, container)


def _run(engine: Engine, container: Container, before_running: Callable[[Path], None] | None) -> Container:
    layout = engine.layout.container(container.id)
    with Undo() as undo:
        # Also clears what an earlier run left: its exit.json must not be taken for ours.
        removal.release_runtime(engine, container.id)
        undo.later(lambda: removal.release_runtime(engine, container.id))
        donors = namespaces.donors(container.config, engine.containers)
        endpoint = _allocate(engine, container)
        _write_bundle(engine, container, endpoint, donors)
        conversation, hello = _launch(engine, container, donors)
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


def _allocate(engine: Engine, container: Container) -> Endpoint | None:
    if container.config.network is not NetworkMode.BRIDGE:
        return None
    return engine.leases.allocate(engine.network.bridge, container.id)


def _write_bundle(
    engine: Engine, container: Container, endpoint: Endpoint | None, donors: Mapping[str, Container]
) -> None:
    layout = engine.layout.container(container.id)
    layout.bundle.mkdir(mode=0o700, parents=True)
    owner = _owner_of_network(engine, container)
    etc = engine.layout.container(owner.id).etc
    if owner is container:
        _write_etc(etc, container, endpoint)
    place = oci.Place(
        etc=etc,
        cgroup=str(engine.cgroup_path(container.id)),
        machine=checks.machine(),
        joins=namespaces.paths(container.config, donors),
        devices=_devices(container, layout.bundle / "devices"),
        shm=_shared_shm(container, donors),
        has_mqueue=os.path.ismount("/dev/mqueue"),
    )
    layout.config.write_bytes(encode(oci.spec(container, place)))


def _owner_of_network(engine: Engine, container: Container) -> Container:
    """Whose network it is in, and whose name and addresses the files in /etc tell."""
    while container.config.network is NetworkMode.CONTAINER:
        container = engine.containers.get(container.config.network_container)
    return container


def _devices(container: Container, directory: Path) -> tuple[devices.HostDevice, ...]:
    found = devices.requested(container.config.devices.requests)
    if container.config.privileges.privileged:
        found = devices.merged(devices.everything(), found)
    if container.id_base is None or not found:
        return found
    return devices.make_nodes(found, directory, *oci.id_maps(container))


def _shared_shm(container: Container, donors: Mapping[str, Container]) -> str:
    """Where the memory is that it shares: with its IPC namespace goes /dev/shm."""
    ipc = container.config.namespaces.ipc
    if ipc.mode is ShareMode.HOST:
        return mounts.SHM
    if ipc.mode is ShareMode.PRIVATE:
        return ""
    run = donors[ipc.container].run
    assert run is not None
    return f"/proc/{run.init.pid}/root{mounts.SHM}"


def _write_etc(etc: Path, container: Container, endpoint: Endpoint | None) -> None:
    etc.mkdir(mode=0o755, exist_ok=True)
    address = endpoint.ip_address if endpoint is not None else None
    is_host = container.config.network is NetworkMode.HOST
    texts = {
        "hosts": files.hosts(container.hostname, address, domain=container.config.domainname),
        "hostname": container.hostname + "\n",
        "resolv.conf": files.resolv_conf(_host_resolv_conf(), shares_host_network=is_host),
    }
    for name, text in texts.items():
        path = etc / name
        path.write_text(text)
        path.chmod(0o644)  # the daemon's umask is not the container's


def _host_resolv_conf() -> str:
    try:
        return Path("/etc/resolv.conf").read_text()
    except FileNotFoundError:
        return ""


def _launch(
    engine: Engine, container: Container, donors: Mapping[str, Container]
) -> tuple[Conversation, protocol.Hello]:
    """A monitor that said hello; a launcher that died in between is replaced once."""
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
        wired=container.config.network in (NetworkMode.BRIDGE, NetworkMode.NONE),
    )


def _donor(container: Container) -> protocol.Donor:
    assert container.run is not None
    init = container.run.init
    return protocol.Donor(name=container.name, pid=init.pid, start_time=init.start_time)


def _wire(engine: Engine, conversation: Conversation, endpoint: Endpoint | None, container: Container) -> None:
    """Put the network into the container's namespace while its root is being set up."""
    if container.config.network in (NetworkMode.HOST, NetworkMode.CONTAINER):
        return
    _, fds = conversation.expect_with_fds(protocol.Cloned)
    try:
        if endpoint is not None:
            engine.network.attach(endpoint, fds[0])
        else:
            loopback.up(fds[0])
    finally:
        for fd in fds:
            os.close(fd)
    conversation.say(protocol.Wired())


def _await_end(monitor: protocol.Hello) -> None:
    """The conversation is closed, so the monitor undoes its part; until then the cgroup is not ours to remove."""
    process.await_end(monitor.pid, monitor.start_time, 10)
