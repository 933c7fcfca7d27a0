"""ps and inspect: what a container is now, computed from facts. Takes no lock and asks no monitor."""

from __future__ import annotations

from aethel_common import process
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Address, Container, NetworkMode, Status, View


def view(engine: Engine, wanted: str) -> View:
    """One container by id, name or prefix. Raises NotFound, InvalidArgument (ambiguous)."""
    return view_of(engine, engine.containers.get(engine.containers.find(wanted)))


def views(engine: Engine) -> list[View]:
    """Every container, the newest first."""
    return [view_of(engine, container) for container in engine.containers.all()]


def view_of(engine: Engine, container: Container) -> View:
    """A record and what follows from it."""
    layout = engine.layout.container(container.id)
    return View(
        container=container,
        status=status_of(engine, container),
        address=_address(engine, container),
        log_path=str(layout.log),
        bundle_path=str(layout.bundle),
        cgroup_path=str(engine.cgroup_path(container.id)),
    )


def status_of(engine: Engine, container: Container) -> Status:
    """From the record, exit.json and the kernel, in this order."""
    if container.run is None:
        return Status.CREATED
    if container.exit is not None or engine.layout.container(container.id).exit.exists():
        return Status.STOPPED
    init = container.run.init
    return Status.RUNNING if process.is_alive(init.pid, init.start_time) else Status.STOPPED


def _address(engine: Engine, container: Container) -> Address | None:
    if container.config.network is not NetworkMode.BRIDGE:
        return None
    endpoint = engine.leases.find(container.id)
    if endpoint is None:
        return None
    return Address(
        bridge=endpoint.bridge,
        ip_address=str(endpoint.ip_address),
        prefix_length=endpoint.prefix_length,
        gateway=str(endpoint.gateway),
        mac_address=endpoint.mac_address,
        host_link=endpoint.host_link,
    )
