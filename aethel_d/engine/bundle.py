"""What a start leaves on the disk for its monitor: the document, the files for /etc, device nodes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from aethel_d.engine import checks, devices, mounts, namespaces, oci
from aethel_d.engine.asked import ShareMode
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Container, NetworkMode
from aethel_net import files
from aethel_net.model import Endpoint
from aethel_run.spec.load import encode


def write(engine: Engine, container: Container, endpoint: Endpoint | None, donors: Mapping[str, Container]) -> None:
    """Lay out everything. Raises NotFound or InvalidArgument for a device that is no longer there, OSError."""
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
