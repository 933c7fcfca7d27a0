"""Rules of namespaces and what belongs to them. config-linux.md#namespaces"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_run.spec import lists, seccomp
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import MemoryPolicyFlag, MemoryPolicyMode, NamespaceType

_MAX_EXTENTS: Final = 340
"""man 7 user_namespaces"""
_LINK_NAME: Final = re.compile(r"[^\s/:\0]{1,15}")


def namespaces_are_distinct(spec: Spec) -> None:
    """One of a kind, and a path that is absolute."""
    for kind, count in Counter(namespace.type for namespace in spec.linux.namespaces).items():
        if count > 1:
            raise InvalidSpec(f"linux.namespaces: {kind} is there twice")
    for index, namespace in enumerate(spec.linux.namespaces):
        if namespace.path and not namespace.path.startswith("/"):
            raise InvalidSpec(f"linux.namespaces[{index}].path: {namespace.path!r} is not absolute")


def mounts_are_its_own(spec: Spec) -> None:
    """Without a mount namespace the host's own root would be pivoted."""
    if not spec.linux.has(NamespaceType.MOUNT):
        raise InvalidSpec("linux.namespaces: a mount namespace is needed")


def hostname_needs_uts(spec: Spec) -> None:
    """Otherwise it would be the host's. config.md#hostname"""
    if (spec.hostname or spec.domainname) and not spec.linux.has(NamespaceType.UTS):
        raise InvalidSpec("hostname: needs a new uts namespace")


def mappings_go_with_a_user_namespace(spec: Spec) -> None:
    """A new one needs both; without one they mean nothing. config-linux.md#user-namespace-mappings"""
    linux = spec.linux
    if linux.makes(NamespaceType.USER) and not (linux.uid_mappings and linux.gid_mappings):
        raise InvalidSpec("linux.uidMappings and gidMappings: a new user namespace needs both")
    if (linux.uid_mappings or linux.gid_mappings) and not linux.has(NamespaceType.USER):
        raise InvalidSpec("linux.uidMappings and gidMappings go with a user namespace")
    if max(len(linux.uid_mappings), len(linux.gid_mappings)) > _MAX_EXTENTS:
        raise InvalidSpec(f"linux.uidMappings and gidMappings: more than {_MAX_EXTENTS} ranges")


def sysctls_are_namespaced(spec: Spec) -> None:
    """Only what belongs to a namespace of the container, and no way out of its directory (CVE-2022-0811)."""
    for key in spec.linux.sysctl:
        if "" in re.split(r"[./]", key) or not _is_namespaced(spec, key.replace("/", ".")):
            raise InvalidSpec(f"linux.sysctl: {key!r} does not belong to a namespace of the container")


def _is_namespaced(spec: Spec, key: str) -> bool:
    if key.startswith("net."):
        return spec.linux.has(NamespaceType.NETWORK)
    if key.startswith(("fs.mqueue.", "kernel.msg", "kernel.shm")) or key == "kernel.sem":
        return spec.linux.has(NamespaceType.IPC)
    # The host name has a field of its own, which a sysctl must not gainsay.
    return key == "kernel.domainname" and spec.linux.has(NamespaceType.UTS)


def time_offsets_need_a_new_namespace(spec: Spec) -> None:
    """config-linux.md#time-namespace"""
    if spec.linux.time_offsets and not spec.linux.makes(NamespaceType.TIME):
        raise InvalidSpec("linux.timeOffsets: need a new time namespace")
    for clock, offset in spec.linux.time_offsets.items():
        if clock not in ("monotonic", "boottime"):
            raise InvalidSpec(f"linux.timeOffsets: {clock!r} is neither monotonic nor boottime")
        if not -(2**63) <= offset.secs < 2**63:
            raise InvalidSpec(f"linux.timeOffsets.{clock}.secs: {offset.secs} has more than 64 bits")
        if offset.nanosecs >= 1_000_000_000:
            raise InvalidSpec(f"linux.timeOffsets.{clock}.nanosecs: {offset.nanosecs} is a second or more")


def net_devices_need_a_network_namespace(spec: Spec) -> None:
    """Names that a link can have; `%d` stands for a number that is free there. config-linux.md#network-devices"""
    if spec.linux.net_devices and not spec.linux.has(NamespaceType.NETWORK):
        raise InvalidSpec("linux.netDevices: need a network namespace")
    for name, device in spec.linux.net_devices.items():
        for each in (name, device.name or name):
            if not _LINK_NAME.fullmatch(each) or each in (".", "..") or "%" in each.replace("%d", "", 1):
                raise InvalidSpec(f"linux.netDevices: {each!r} cannot be the name of a link")
    _new_names_are_distinct(spec)


def _new_names_are_distinct(spec: Spec) -> None:
    names = Counter(device.name or name for name, device in spec.linux.net_devices.items())
    for name, count in names.items():
        if count > 1 and "%d" not in name:
            raise InvalidSpec(f"linux.netDevices: {count} links would be called {name}")


def personality_has_no_flags(spec: Spec) -> None:
    """config-linux.md#personality: none is supported so far."""
    if spec.linux.personality is not None and spec.linux.personality.flags:
        raise InvalidSpec(f"linux.personality.flags: {', '.join(spec.linux.personality.flags)}: none is known")


def memory_policy_is_sound(spec: Spec) -> None:
    """Which modes take nodes and flags. man 2 set_mempolicy"""
    policy = spec.linux.memory_policy
    if policy is None:
        return
    without_nodes = policy.mode in (MemoryPolicyMode.DEFAULT, MemoryPolicyMode.LOCAL)
    if without_nodes and (policy.nodes or policy.flags):
        raise InvalidSpec(f"linux.memoryPolicy: {policy.mode} takes neither nodes nor flags")
    if not without_nodes and not policy.nodes and policy.mode is not MemoryPolicyMode.PREFERRED:
        raise InvalidSpec(f"linux.memoryPolicy.nodes: {policy.mode} needs some")
    lists.numbers(policy.nodes, "linux.memoryPolicy.nodes", lists.MAX_NODES)
    if {MemoryPolicyFlag.STATIC_NODES, MemoryPolicyFlag.RELATIVE_NODES} <= set(policy.flags):
        raise InvalidSpec("linux.memoryPolicy.flags: static and relative nodes exclude each other")
    if MemoryPolicyFlag.NUMA_BALANCING in policy.flags and policy.mode is not MemoryPolicyMode.BIND:
        raise InvalidSpec(f"linux.memoryPolicy.flags: MPOL_F_NUMA_BALANCING goes with MPOL_BIND, not {policy.mode}")


def rdt_class_is_a_name(spec: Spec) -> None:
    """It becomes a directory; `/` alone is the default class. config-linux.md#intelrdt"""
    rdt = spec.linux.intel_rdt
    if rdt is None or rdt.clos_id == "/":
        return
    if rdt.clos_id in (".", "..") or "/" in rdt.clos_id or "\0" in rdt.clos_id:
        raise InvalidSpec(f"linux.intelRdt.closID: {rdt.clos_id!r} is not a plain name")


def rdt_schemata_are_lines(spec: Spec) -> None:
    """One line each, and the kind of its resource in front. config-linux.md#intelrdt"""
    rdt = spec.linux.intel_rdt
    if rdt is None:
        return
    for where, line in (
        ("l3CacheSchema", rdt.l3_cache_schema),
        ("memBwSchema", rdt.mem_bw_schema),
        *((f"schemata[{index}]", line) for index, line in enumerate(rdt.schemata)),
    ):
        if "\n" in line or "\0" in line:
            raise InvalidSpec(f"linux.intelRdt.{where}: {line!r} is more than a line")
    if rdt.mem_bw_schema and not rdt.mem_bw_schema.startswith("MB:"):
        raise InvalidSpec(f"linux.intelRdt.memBwSchema: {rdt.mem_bw_schema!r} does not begin with MB:")


def seccomp_is_sound(spec: Spec) -> None:
    """config-linux.md#seccomp"""
    if spec.linux.seccomp is not None:
        seccomp.check(spec.linux.seccomp)


RULES: Final = (
    namespaces_are_distinct,
    mounts_are_its_own,
    hostname_needs_uts,
    mappings_go_with_a_user_namespace,
    sysctls_are_namespaced,
    time_offsets_need_a_new_namespace,
    net_devices_need_a_network_namespace,
    personality_has_no_flags,
    memory_policy_is_sound,
    rdt_class_is_a_name,
    rdt_schemata_are_lines,
)
