"""A container's record and its image become an OCI runtime-spec document: the one place where the two meet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from aethel_d.engine import idmap, kernel, mounts, namespaces, privileges, seccomp
from aethel_d.engine.asked import IdMap, ShareMode
from aethel_d.engine.devices import HostDevice
from aethel_d.engine.model import Container, ContainerConfig
from aethel_d.engine.seccomp import Machine
from aethel_run.seccomp.profile import default_profile
from aethel_run.spec.config import Root, Spec
from aethel_run.spec.linux import IdMapping, Linux, Namespace, NamespaceType
from aethel_run.spec.mounts import Mount
from aethel_run.spec.process import Capabilities, Process, User
from aethel_run.spec.resources import DeviceRule, Resources, allowed
from aethel_run.spec.seccomp import Seccomp
from aethel_run.spec.template import default_spec
from aethel_run.state import marked
from aethel_storage.oci.documents import RunConfig

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the host gives to one start."""

    etc: Path
    """Where its hosts, hostname and resolv.conf are."""
    cgroup: str
    machine: Machine
    joins: Mapping[NamespaceType, str] = field(default_factory=dict)
    """Namespaces of others, by the path of their file."""
    devices: tuple[HostDevice, ...] = ()
    shm: str = ""
    """The /dev/shm that it shares; empty: it has its own."""
    has_mqueue: bool = True
    """Whether the host shows its message queues at /dev/mqueue."""


def environment(config: ContainerConfig, image: RunConfig, hostname: str) -> tuple[str, ...]:
    """Built from nothing, never inherited: defaults, then the image's, then the caller's; later ones win."""
    merged: dict[str, str] = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if config.terminal:
        merged["TERM"] = "xterm"
    for entry in (*(image.env or ()), *config.env):
        key, _, value = entry.partition("=")
        merged[key] = value
    return tuple(f"{key}={value}" for key, value in merged.items())


def id_maps(container: Container) -> tuple[tuple[IdMap, ...], tuple[IdMap, ...]]:
    """Of its user namespace, users and groups; empty without one. Older records have the range alone."""
    if container.id_base is None:
        return (), ()
    whole = idmap.whole_map(container.id_base, container.id_size)
    return container.uid_map or whole, container.gid_map or whole


def spec(container: Container, place: Place) -> Spec:
    """The whole document for one start. Raises InvalidArgument for what was asked and can never be."""
    base = default_spec()
    assert base.process is not None
    config = container.config
    own_name = config.namespaces.uts.mode is ShareMode.PRIVATE
    return msgspec.structs.replace(
        base,
        hostname=container.hostname if own_name else "",
        domainname=config.domainname,
        root=Root(path="rootfs", readonly=config.read_only),
        process=_process(base.process, container),
        mounts=(
            *mounts.kernel_mounts(base.mounts, container, shm=place.shm, has_mqueue=place.has_mqueue),
            # Before what goes into single files, which may be in one of them.
            *mounts.tmpfs_mounts(config.kernel.tmpfs),
            *_device_mounts(container, place.devices),
            *_etc_mounts(container, place.etc),
        ),
        linux=_linux(base.linux, container, place),
        annotations=marked(config.annotations, config.without),
    )


def _process(base: Process, container: Container) -> Process:
    config = container.config
    names = privileges.capabilities(config.privileges)
    profile = config.privileges.apparmor
    return msgspec.structs.replace(
        base,
        terminal=config.terminal,
        args=container.argv,
        env=container.env,
        cwd=container.working_dir,
        # Its ids are looked up in the image, by the monitor.
        user=User(umask=config.kernel.umask),
        capabilities=Capabilities(bounding=names, effective=names, permitted=names),
        rlimits=kernel.rlimits(config.kernel.ulimits),
        no_new_privileges=bool(config.privileges.no_new_privileges),
        apparmor_profile="" if profile == privileges.UNCONFINED else profile,
        selinux_label=config.privileges.selinux,
    )


def _etc_mounts(container: Container, etc: Path) -> tuple[Mount, ...]:
    return tuple(
        Mount(destination=f"/etc/{name}", type="bind", source=str(etc / name), options=_bind_options(container))
        for name in ("hosts", "hostname", "resolv.conf")
    )


def _device_mounts(container: Container, devices: tuple[HostDevice, ...]) -> tuple[Mount, ...]:
    """With a user namespace: nodes of ours, that belong to its ids. Of the host's it could use only what all may."""
    if container.id_base is None:
        return ()
    options = ("bind", "rprivate", "nosuid", "noexec", "dev")
    return tuple(
        Mount(destination=each.device.path, type="bind", source=each.node, options=options) for each in devices
    )


def _bind_options(container: Container) -> tuple[str, ...]:
    """With a user namespace idmapped, so that ownership looks inside as it does on the host."""
    return ("rbind", "rprivate", *(("ridmap",) if container.id_base is not None else ()))


def _linux(base: Linux, container: Container, place: Place) -> Linux:
    masked, read_only = privileges.hidden_paths(container.config.privileges, base)
    uid_map, gid_map = id_maps(container)
    return msgspec.structs.replace(
        base,
        namespaces=_namespaces(base.namespaces, container, place),
        uid_mappings=_mappings(uid_map),
        gid_mappings=_mappings(gid_map),
        devices=() if container.id_base is not None else tuple(each.device for each in place.devices),
        resources=Resources(devices=_device_rules(base.resources.devices, container.config, place.devices)),
        cgroups_path=place.cgroup,
        sysctl=dict(container.config.kernel.sysctl),
        seccomp=_seccomp(container.config, place.machine),
        masked_paths=masked,
        readonly_paths=read_only,
    )


def _device_rules(
    base: tuple[DeviceRule, ...], config: ContainerConfig, devices: tuple[HostDevice, ...]
) -> tuple[DeviceRule, ...]:
    """None but those of every container, then each that was asked for, then the rules in their order."""
    if config.privileges.privileged:
        return (DeviceRule(allow=True, access="rwm"),)
    return (
        *base,
        *(allowed(each.device.major, each.device.minor, each.access, each.device.type) for each in devices),
        *(allowed(each.major, each.minor, each.access, each.type) for each in config.devices.rules),
    )


def _namespaces(base: tuple[Namespace, ...], container: Container, place: Place) -> tuple[Namespace, ...]:
    """Each new, joined by its path, or left out for the host's."""
    shares = namespaces.shares(container.config)
    hosts = {kind for kind, share in shares.items() if share.mode is ShareMode.HOST}
    users = () if container.id_base is None else (Namespace(type=NamespaceType.USER),)
    return tuple(
        Namespace(type=each.type, path=place.joins.get(each.type, ""))
        for each in (*base, *users)
        if each.type not in hosts
    )


def _mappings(maps: tuple[IdMap, ...]) -> tuple[IdMapping, ...]:
    return tuple(IdMapping(container_id=each.inside, host_id=each.host, size=each.size) for each in maps)


def _seccomp(config: ContainerConfig, machine: Machine) -> Seccomp | None:
    wanted = config.privileges.seccomp
    allowed = frozenset(privileges.capabilities(config.privileges))
    if wanted == privileges.UNCONFINED or (not wanted and config.privileges.privileged):
        return None
    if wanted in ("", privileges.BUILTIN):
        return default_profile(allowed, machine.architecture)
    return seccomp.profile(wanted, allowed, machine)
