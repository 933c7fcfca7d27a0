"""A container's record and its image become an OCI runtime-spec document: the one place where the two meet. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from aethel_d.engine.containers import ID_RANGE_SIZE
from aethel_d.engine.model import Container, ContainerConfig, NetworkMode
from aethel_run.seccomp.profile import default_profile
from aethel_run.spec.config import Root, Spec
from aethel_run.spec.linux import IdMapping, Linux, Namespace, NamespaceType
from aethel_run.spec.mounts import Mount
from aethel_run.spec.process import Process
from aethel_run.spec.template import DEFAULT_CAPABILITIES, default_spec
from aethel_storage.oci.documents import RunConfig

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(config: ContainerConfig, image: RunConfig, hostname: str) -> tuple[str, ...]:
    """Built from nothing, never inherited: defaults, then the image's, then the caller's; later ones win."""
    merged: dict[str, str] = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if config.terminal:
        merged["TERM"] = "xterm"
    for entry in (*(image.env or ()), *config.env):
        key, _, value = entry.partition("=")
        merged[key] = value
    return tuple(f"{key}={value}" for key, value in merged.items())


def spec(container: Container, *, etc: Path, cgroup: str, annotations: Mapping[str, str]) -> Spec:
    """The whole document for one start."""
    base = default_spec()
    assert base.process is not None
    return msgspec.structs.replace(
        base,
        hostname=container.hostname,
        root=Root(path="rootfs", readonly=container.config.read_only),
        process=_process(base.process, container),
        mounts=(*base.mounts, *_etc_mounts(container, etc)),
        linux=_linux(base.linux, container, cgroup),
        annotations=dict(annotations),
    )


def _process(base: Process, container: Container) -> Process:
    return msgspec.structs.replace(
        base,
        terminal=container.config.terminal,
        args=container.argv,
        env=container.env,
        cwd=container.working_dir,
        no_new_privileges=container.config.no_new_privileges,
    )


def _etc_mounts(container: Container, etc: Path) -> tuple[Mount, ...]:
    return tuple(
        Mount(destination=f"/etc/{name}", type="bind", source=str(etc / name), options=_bind_options(container))
        for name in ("hosts", "hostname", "resolv.conf")
    )


def _bind_options(container: Container) -> tuple[str, ...]:
    """With a user namespace idmapped, so that ownership looks inside as it does on the host."""
    return ("rbind", "rprivate", *(("ridmap",) if container.id_base is not None else ()))


def _linux(base: Linux, container: Container, cgroup: str) -> Linux:
    base = msgspec.structs.replace(
        base, seccomp=default_profile(frozenset(DEFAULT_CAPABILITIES), os.uname().machine), cgroups_path=cgroup
    )
    namespaces = tuple(
        namespace
        for namespace in base.namespaces
        if not (namespace.type is NamespaceType.NETWORK and container.config.network is NetworkMode.HOST)
    )
    if container.id_base is None:
        return msgspec.structs.replace(base, namespaces=namespaces)
    mapping = (IdMapping(container_id=0, host_id=container.id_base, size=ID_RANGE_SIZE),)
    return msgspec.structs.replace(
        base,
        namespaces=(*namespaces, Namespace(type=NamespaceType.USER)),
        uid_mappings=mapping,
        gid_mappings=mapping,
    )
