"""Whose namespaces a container is in: settled when it is created, found again in /proc at each start.

Who joins a namespace of another container is in that one's user namespace too: the kernel lets only the owner of a
namespace show it (/proc, /sys) or change it. The host's root may join any, so `host` is the other choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from aethel_common import names, process
from aethel_common.errors import InvalidArgument, NotFound, WrongState
from aethel_d.engine.asked import Namespaces, Share, ShareMode, Users, UsersMode
from aethel_d.engine.containers import ContainerStore
from aethel_d.engine.model import Container, ContainerConfig, NetworkMode
from aethel_run.spec.linux import NamespaceType

_FILES: Final = {
    NamespaceType.PID: "pid",
    NamespaceType.IPC: "ipc",
    NamespaceType.UTS: "uts",
    NamespaceType.CGROUP: "cgroup",
    NamespaceType.NETWORK: "net",
    NamespaceType.USER: "user",
}
"""man 5 proc_pid_ns"""

Find = Callable[[str], Container]
"""A container by id, name or prefix. Raises NotFound, InvalidArgument."""


def settle(config: ContainerConfig, find: Find) -> ContainerConfig:
    """The same with every container by its id, and the user namespace decided.

    Raises NotFound, and InvalidArgument for what cannot go together.
    """
    asked = config.namespaces
    pid = _settled(asked.pid, lambda other: other.namespaces.pid, find)
    ipc = _settled(asked.ipc, lambda other: other.namespaces.ipc, find)
    uts = _settled(asked.uts, lambda other: other.namespaces.uts, find)
    cgroup = _settled(asked.cgroup, lambda other: other.namespaces.cgroup, find)
    network = _settled(network_share(config), network_share, find)
    joined = {each.container for each in (pid, ipc, uts, cgroup, network)} - {""}
    users = _users(config, frozenset(joined), find)
    settled = msgspec.structs.replace(
        config,
        network=NetworkMode.HOST if network.mode is ShareMode.HOST else config.network,
        network_container=network.container,
        namespaces=Namespaces(pid=pid, ipc=ipc, uts=uts, cgroup=cgroup, users=users),
    )
    _check(settled)
    return settled


def network_share(config: ContainerConfig) -> Share:
    """Whose network namespace it is in."""
    if config.network is NetworkMode.CONTAINER:
        return Share(mode=ShareMode.CONTAINER, container=config.network_container)
    return Share(mode=ShareMode.HOST if config.network is NetworkMode.HOST else ShareMode.PRIVATE)


def shares(config: ContainerConfig) -> Mapping[NamespaceType, Share]:
    """What it is in, kind by kind; the user namespace only where it is another container's."""
    asked = config.namespaces
    found = {
        NamespaceType.PID: asked.pid,
        NamespaceType.IPC: asked.ipc,
        NamespaceType.UTS: asked.uts,
        NamespaceType.CGROUP: asked.cgroup,
        NamespaceType.NETWORK: network_share(config),
    }
    if asked.users.mode is UsersMode.CONTAINER:
        found[NamespaceType.USER] = Share(mode=ShareMode.CONTAINER, container=asked.users.container)
    return found


def donors(config: ContainerConfig, containers: ContainerStore) -> Mapping[str, Container]:
    """Those whose namespaces it joins, by id. Raises NotFound when one is gone, WrongState when one does not run."""
    found: dict[str, Container] = {}
    for kind, share in shares(config).items():
        if share.container and share.container not in found:
            found[share.container] = _running(share.container, kind, containers)
    return found


def paths(config: ContainerConfig, inits: Mapping[str, int]) -> dict[NamespaceType, str]:
    """What to join, by kind: files of /proc that are the donors' as long as these live, which is to be looked at.

    `inits`: the process id of each donor's first process, by the donor's id.
    """
    return {
        kind: f"/proc/{inits[share.container]}/ns/{_FILES[kind]}"
        for kind, share in shares(config).items()
        if share.container
    }


def _running(container_id: str, kind: NamespaceType, containers: ContainerStore) -> Container:
    where = f"the {kind} namespace of container {names.short(container_id)} cannot be joined"
    try:
        donor = containers.get(container_id)
    except NotFound:
        raise NotFound(f"{where}: there is no such container any more") from None
    run = donor.run
    if run is None or donor.exit is not None or not process.is_alive(run.init.pid, run.init.start_time):
        raise WrongState(f"{where}: it is not running", hint=f"aethel start {donor.name}")
    return donor


def _settled(share: Share, of: Callable[[ContainerConfig], Share], find: Find) -> Share:
    """With the id in place of a name. Who shares with one that has the host's has the host's."""
    if share.mode is not ShareMode.CONTAINER:
        return share
    donor = find(share.container)
    return Share(mode=ShareMode.HOST) if _is_the_hosts(donor, of, find) else Share(mode=share.mode, container=donor.id)


def _is_the_hosts(donor: Container, of: Callable[[ContainerConfig], Share], find: Find) -> bool:
    share = of(donor.config)
    while share.mode is ShareMode.CONTAINER:
        share = of(find(share.container).config)
    return share.mode is ShareMode.HOST


def _users(config: ContainerConfig, joined: frozenset[str], find: Find) -> Users:
    asked = config.namespaces.users
    if asked.mode is UsersMode.CONTAINER:
        joined |= {find(asked.container).id}
    if asked.mode is UsersMode.HOST or (asked.mode is UsersMode.DEFAULT and config.privileges.privileged):
        return Users(mode=UsersMode.HOST)
    if config.privileges.privileged:
        raise InvalidArgument(
            "privileged goes with the user namespace of the host: in another it would have no power over the host",
            hint="leave --userns out",
        )
    if not joined:
        return asked if asked.mode is not UsersMode.DEFAULT else Users(mode=UsersMode.PRIVATE)
    if asked.mode in (UsersMode.PRIVATE, UsersMode.AUTO):
        raise InvalidArgument(
            "who joins a namespace of a container is in its user namespace too, so it cannot have one of its own",
            hint="leave --userns out, or say --userns host",
        )
    return _users_of([find(each) for each in sorted(joined)])


def _users_of(donors: list[Container]) -> Users:
    """The user namespace that all of them are in."""
    if len({donor.id_base for donor in donors}) > 1:
        some = ", ".join(donor.name for donor in donors)
        raise InvalidArgument(f"containers {some} have different user namespaces", hint="--userns host may join all")
    donor = donors[0]
    return Users(mode=UsersMode.HOST) if donor.id_base is None else Users(mode=UsersMode.CONTAINER, container=donor.id)


def _check(config: ContainerConfig) -> None:
    uts, network = config.namespaces.uts, network_share(config)
    named = "hostname" if config.hostname else "domainname" if config.domainname else ""
    if named and uts.mode is not ShareMode.PRIVATE:
        raise InvalidArgument(f"{named}: goes with a private uts namespace, not with {uts.mode}")
    if named and network.mode is ShareMode.CONTAINER:
        raise InvalidArgument(f"{named}: the name is that of the container whose network is shared")
    if config.kernel.shm_size is not None and config.namespaces.ipc.mode is not ShareMode.PRIVATE:
        raise InvalidArgument(f"shm-size: goes with a private ipc namespace, not with {config.namespaces.ipc.mode}")
