"""Rules between the fields of a document, each a function named for the rule."""

from __future__ import annotations

import resource
from collections import Counter
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_common.linux.capabilities import Capability
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.mounts import meaning

MAX_ID: Final = 2**32 - 2
_IPC_SYSCTLS: Final = frozenset(
    f"kernel.{name}"
    for name in (
        "msgmax",
        "msgmnb",
        "msgmni",
        "sem",
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
    )
)
"""man 7 ipc_namespaces"""


def check(spec: Spec) -> None:
    """Apply every rule. Raises InvalidSpec for the first that is broken."""
    for rule in _RULES:
        rule(spec)


def version_is_one(spec: Spec) -> None:
    """Major version 1; a later minor one only adds."""
    if not spec.oci_version.startswith("1."):
        raise InvalidSpec(f"ociVersion: {spec.oci_version!r} is not 1.x")


def process_is_runnable(spec: Spec) -> None:
    """An absolute working directory, and something to run. config.md#process"""
    if not spec.process.cwd.startswith("/"):
        raise InvalidSpec(f"process.cwd: {spec.process.cwd!r} is not absolute")
    if not spec.process.args or not spec.process.args[0]:
        raise InvalidSpec("process.args: empty")


def strings_have_no_nul(spec: Spec) -> None:
    """The kernel would cut them there."""
    texts = {
        "process.args": spec.process.args,
        "process.env": spec.process.env,
        "process.cwd": (spec.process.cwd,),
        "hostname": (spec.hostname, spec.domainname),
        "mounts": tuple(word for m in spec.mounts for word in (m.destination, m.type, m.source, *m.options)),
        "linux.maskedPaths": spec.linux.masked_paths,
        "linux.readonlyPaths": spec.linux.readonly_paths,
        "linux.sysctl": (*spec.linux.sysctl, *spec.linux.sysctl.values()),
    }
    for path, values in texts.items():
        for text in values:
            if "\0" in text:
                raise InvalidSpec(f"{path}: {text!r} holds a NUL byte")


def environment_is_assignments(spec: Spec) -> None:
    """Each NAME=value. man 7 environ"""
    for index, entry in enumerate(spec.process.env):
        if entry.find("=") < 1:
            raise InvalidSpec(f"process.env[{index}]: {entry!r} is not NAME=value")


def ids_are_in_range(spec: Spec) -> None:
    """0 to 2**32 - 2: the last one means "no change" to the kernel, and larger ones would wrap (CVE-2024-40635)."""
    user = spec.process.user
    named = [("uid", user.uid), ("gid", user.gid), *(("additionalGids", gid) for gid in user.additional_gids)]
    for name, number in named:
        if not 0 <= number <= MAX_ID:
            raise InvalidSpec(f"process.user.{name}: {number} is not between 0 and {MAX_ID}")
    if user.umask is not None and not 0 <= user.umask <= 0o777:
        raise InvalidSpec(f"process.user.umask: {user.umask} is not between 0 and {0o777}")


def mounts_can_be_made(spec: Spec) -> None:
    """A place, a type, and words that are understood. config.md#mounts"""
    for index, mount in enumerate(spec.mounts):
        where = f"mounts[{index}]"
        if not mount.destination.strip("/."):
            raise InvalidSpec(f"{where}.destination: {mount.destination!r} is the root itself")
        if not mount.is_bind and not mount.type:
            raise InvalidSpec(f"{where}.type: missing for {mount.destination}")
        if mount.is_bind and not mount.source:
            raise InvalidSpec(f"{where}.source: missing for {mount.destination}")
        meaning(mount, where)


def namespaces_are_distinct(spec: Spec) -> None:
    """One of a kind. config-linux.md#namespaces"""
    for kind, count in Counter(namespace.type for namespace in spec.linux.namespaces).items():
        if count > 1:
            raise InvalidSpec(f"linux.namespaces: {kind} is there twice")


def mount_and_pid_namespaces_are_new(spec: Spec) -> None:
    """Without them the host's own mounts would be pivoted and its processes seen."""
    for kind in (NamespaceType.MOUNT, NamespaceType.PID):
        if not spec.linux.has(kind):
            raise InvalidSpec(f"linux.namespaces: a {kind} namespace is needed")


def hostname_needs_uts(spec: Spec) -> None:
    """Otherwise it would be the host's. config.md#hostname"""
    if (spec.hostname or spec.domainname) and not spec.linux.has(NamespaceType.UTS):
        raise InvalidSpec("hostname: needs a new uts namespace")


def mappings_go_with_a_user_namespace(spec: Spec) -> None:
    """Both or none."""
    has_mappings = bool(spec.linux.uid_mappings) and bool(spec.linux.gid_mappings)
    if spec.linux.has(NamespaceType.USER) != has_mappings:
        raise InvalidSpec("linux.uidMappings and gidMappings go with a new user namespace, and it with them")
    for name, mappings in (("uidMappings", spec.linux.uid_mappings), ("gidMappings", spec.linux.gid_mappings)):
        for index, mapping in enumerate(mappings):
            last = max(mapping.container_id, mapping.host_id) + mapping.size - 1
            if min(mapping.container_id, mapping.host_id) < 0 or mapping.size < 1 or last > MAX_ID:
                raise InvalidSpec(f"linux.{name}[{index}]: not a range between 0 and {MAX_ID}")


def sysctls_are_namespaced(spec: Spec) -> None:
    """Only what belongs to a namespace of the container, and no way out of its directory (CVE-2022-0811)."""
    for key in spec.linux.sysctl:
        parts = key.replace("/", ".").split(".")
        of_network = parts[0] == "net" and spec.linux.has(NamespaceType.NETWORK)
        of_ipc = (parts[:2] == ["fs", "mqueue"] or key in _IPC_SYSCTLS) and spec.linux.has(NamespaceType.IPC)
        if "" not in parts and (of_network or of_ipc):
            continue
        raise InvalidSpec(f"linux.sysctl: {key!r} does not belong to a namespace of the container")


def rlimits_are_known_once(spec: Spec) -> None:
    """config.md#posix-process: a duplicate is an error."""
    kinds = [limit.type for limit in spec.process.rlimits]
    for kind in kinds:
        if not kind.startswith("RLIMIT_") or not hasattr(resource, kind):
            raise InvalidSpec(f"process.rlimits: {kind!r} is unknown")
        if kinds.count(kind) > 1:
            raise InvalidSpec(f"process.rlimits: {kind} is there twice")
    for limit in spec.process.rlimits:
        if not 0 <= limit.soft <= limit.hard < 2**64:
            raise InvalidSpec(f"process.rlimits: {limit.type}: soft {limit.soft} and hard {limit.hard} do not fit")


def capabilities_are_known(spec: Spec) -> None:
    """By the names of the kernel's header."""
    sets = spec.process.capabilities
    if sets is None:
        return
    for name in (*sets.bounding, *sets.effective, *sets.permitted, *sets.inheritable, *sets.ambient):
        if name not in Capability.__members__:
            raise InvalidSpec(f"process.capabilities: {name!r} is unknown")


_RULES = (
    version_is_one,
    process_is_runnable,
    ids_are_in_range,
    environment_is_assignments,
    strings_have_no_nul,
    mounts_can_be_made,
    namespaces_are_distinct,
    mount_and_pid_namespaces_are_new,
    hostname_needs_uts,
    mappings_go_with_a_user_namespace,
    sysctls_are_namespaced,
    rlimits_are_known_once,
    capabilities_are_known,
)
