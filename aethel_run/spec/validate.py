"""Rules between the fields of a document, each a function named for the rule."""

from __future__ import annotations

import resource
from collections import Counter

from aethel_common.errors import InvalidSpec
from aethel_common.linux.capabilities import Capability
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType


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
    for text in (*spec.process.args, *spec.process.env, spec.process.cwd, spec.hostname):
        if "\0" in text:
            raise InvalidSpec(f"process: {text!r} holds a NUL byte")


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
    wanted = spec.linux.has(NamespaceType.USER)
    if wanted != bool(spec.linux.uid_mappings) or wanted != bool(spec.linux.gid_mappings):
        raise InvalidSpec("linux.uidMappings and gidMappings go with a new user namespace, and it with them")


def sysctls_are_namespaced(spec: Spec) -> None:
    """Only what belongs to a namespace of the container, and no way out of its directory (CVE-2022-0811)."""
    for key in spec.linux.sysctl:
        parts = key.replace("/", ".").split(".")
        if key.startswith("net.") and spec.linux.has(NamespaceType.NETWORK) and "" not in parts:
            continue
        of_ipc = key.startswith(("fs.mqueue.", "kernel.msg", "kernel.shm")) or key == "kernel.sem"
        if of_ipc and spec.linux.has(NamespaceType.IPC) and "" not in parts:
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
    strings_have_no_nul,
    namespaces_are_distinct,
    mount_and_pid_namespaces_are_new,
    hostname_needs_uts,
    mappings_go_with_a_user_namespace,
    sysctls_are_namespaced,
    rlimits_are_known_once,
    capabilities_are_known,
)
