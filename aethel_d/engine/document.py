"""The OCI document of a container, with the places that this daemon gives it. Nothing is made here."""

from __future__ import annotations

import os
from collections.abc import Mapping

from aethel_d.engine import devices, mounts, namespaces, oci, seccomp
from aethel_d.engine.asked import ShareMode
from aethel_d.engine.context import Engine
from aethel_d.engine.devices import HostDevice
from aethel_d.engine.model import Container, NetworkMode
from aethel_run.spec.config import Spec


def document(
    engine: Engine, container: Container, found: tuple[HostDevice, ...], donors: Mapping[str, Container]
) -> Spec:
    """What a start writes to config.json, with the devices that were found and the namespaces of those who run."""
    return _document(engine, container, found, {donor.id: _init_pid(donor) for donor in donors.values()})


def foreseen(engine: Engine, container: Container) -> Spec:
    """What a start would write now, if those whose namespaces it joins ran; their process ids are not known yet.

    Raises NotFound or InvalidArgument for a device that is not there, or for what was asked and can never be.
    """
    joined = {share.container: 0 for share in namespaces.shares(container.config).values() if share.container}
    return _document(engine, container, host_devices(engine, container), joined)


def host_devices(engine: Engine, container: Container) -> tuple[HostDevice, ...]:
    """What it gets of the host's devices as they are now. Raises NotFound, InvalidArgument."""
    found = devices.requested(container.config.devices.requests)
    if container.config.privileges.privileged:
        found = devices.merged(devices.everything(), found)
    if container.id_base is None:
        return found
    return devices.with_nodes(found, engine.layout.container(container.id).devices)


def owner_of_network(engine: Engine, container: Container) -> Container:
    """Whose network it is in, and whose name and addresses the files in /etc tell."""
    while container.config.network is NetworkMode.CONTAINER:
        container = engine.containers.get(container.config.network_container)
    return container


def _document(engine: Engine, container: Container, found: tuple[HostDevice, ...], inits: Mapping[str, int]) -> Spec:
    place = oci.Place(
        etc=engine.layout.container(owner_of_network(engine, container).id).etc,
        cgroup=str(engine.cgroup_path(container.id)),
        machine=seccomp.this_machine(),
        joins=namespaces.paths(container.config, inits),
        devices=found,
        shm=_shared_shm(container, inits),
        has_mqueue=os.path.ismount("/dev/mqueue"),
    )
    return oci.spec(container, place)


def _init_pid(donor: Container) -> int:
    assert donor.run is not None
    return donor.run.init.pid


def _shared_shm(container: Container, inits: Mapping[str, int]) -> str:
    """Where the memory is that it shares: with its IPC namespace goes /dev/shm."""
    ipc = container.config.namespaces.ipc
    if ipc.mode is ShareMode.HOST:
        return mounts.SHM
    if ipc.mode is ShareMode.PRIVATE:
        return ""
    return f"/proc/{inits[ipc.container]}/root{mounts.SHM}"
