"""`HostConfig` of inspect, under Docker's keys."""

from __future__ import annotations

from typing import Any

from aethel_cli.client import pb

_UNLIMITED = 2**64 - 1


def host_config(detail: pb.ContainerDetail) -> dict[str, Any]:
    """What was asked of a container, as far as it is about the host; names of other containers are ids by now."""
    config = detail.config
    return {
        "NetworkMode": detail.network.mode,
        "AutoRemove": config.auto_remove,
        "ReadonlyRootfs": config.read_only,
        "Privileged": config.privileged,
        "CapAdd": list(config.cap_add),
        "CapDrop": list(config.cap_drop),
        "SecurityOpt": _security(config),
        "MaskedPaths": list(detail.masked_paths),
        "ReadonlyPaths": list(detail.readonly_paths),
        "GroupAdd": list(config.group_add),
        "UsernsMode": _users(config),
        "PidMode": config.pid,
        "IpcMode": config.ipc,
        "UTSMode": config.uts,
        "CgroupnsMode": config.cgroupns,
        "Devices": [
            {"PathOnHost": each.host_path, "PathInContainer": each.container_path, "CgroupPermissions": each.access}
            for each in config.devices
        ],
        "DeviceCgroupRules": [_rule(each) for each in config.device_rules],
        "Sysctls": dict(config.sysctl),
        "Ulimits": [
            {"Name": each.name, "Soft": _limit(each.soft), "Hard": _limit(each.hard)} for each in config.ulimits
        ],
        "ShmSize": config.shm_size or 64 * 1024 * 1024,
        "Tmpfs": dict(config.tmpfs),
        "Annotations": dict(config.annotations),
    }


def _security(config: pb.CreateContainerRequest) -> list[str]:
    """As --security-opt would say it, a profile with its whole text."""
    words = ["no-new-privileges"] if config.no_new_privileges else []
    named = (("seccomp", config.seccomp), ("apparmor", config.apparmor), ("label", config.selinux))
    words += [f"{name}={value}" for name, value in named if value]
    words += [
        f"{name}={':'.join(paths)}" for name, paths in (("mask", config.mask), ("unmask", config.unmask)) if paths
    ]
    return words


def _users(config: pb.CreateContainerRequest) -> str:
    if config.user_namespace != "auto":
        return config.user_namespace
    words = [f"size={config.id_range_size}"]
    for name, mappings in (("uidmapping", config.uid_mappings), ("gidmapping", config.gid_mappings)):
        words += [f"{name}={each.container_id}:{each.host_id}:{each.size}" for each in mappings]
    return f"auto:{','.join(words)}"


def _rule(rule: pb.DeviceRule) -> str:
    major = rule.major if rule.HasField("major") else "*"
    minor = rule.minor if rule.HasField("minor") else "*"
    return f"{rule.type} {major}:{minor} {rule.access}"


def _limit(number: int) -> int:
    return -1 if number == _UNLIMITED else number
