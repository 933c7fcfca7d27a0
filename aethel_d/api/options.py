"""What protects and what opens a container, from protobuf to the engine's words and back."""

from __future__ import annotations

from collections.abc import Iterable

from aethel_common.errors import InvalidArgument
from aethel_common.rpc import aethel_pb2 as pb
from aethel_d.engine.asked import (
    ID_RANGE_SIZE,
    DeviceRequest,
    DeviceRule,
    Devices,
    IdMap,
    Kernel,
    Namespaces,
    Privileges,
    Share,
    ShareMode,
    Ulimit,
    Users,
    UsersMode,
)
from aethel_d.engine.privileges import capability_name

_CONTAINER = "container:"


def namespaces(request: pb.CreateContainerRequest) -> Namespaces:
    """Raises InvalidArgument naming the field."""
    return Namespaces(
        pid=_share("pid", request.pid),
        ipc=_share("ipc", request.ipc),
        uts=_share("uts", request.uts),
        cgroup=_share("cgroupns", request.cgroupns),
        users=_users(request),
    )


def privileges(request: pb.CreateContainerRequest) -> Privileges:
    """Raises InvalidArgument naming the field."""
    return Privileges(
        privileged=request.privileged,
        cap_add=tuple(capability_name(name) for name in request.cap_add),
        cap_drop=tuple(capability_name(name) for name in request.cap_drop),
        no_new_privileges=request.no_new_privileges if request.HasField("no_new_privileges") else None,
        seccomp=request.seccomp,
        apparmor=request.apparmor,
        selinux=request.selinux,
        mask=tuple(request.mask),
        unmask=tuple(request.unmask),
        group_add=tuple(request.group_add),
    )


def devices(request: pb.CreateContainerRequest) -> Devices:
    """Raises InvalidArgument naming the field."""
    return Devices(
        requests=tuple(_device(each) for each in request.devices),
        rules=tuple(_rule(each) for each in request.device_rules),
    )


def kernel(request: pb.CreateContainerRequest) -> Kernel:
    """As it was asked; the engine judges it."""
    return Kernel(
        sysctl=dict(request.sysctl),
        ulimits=tuple(Ulimit(name=each.name, soft=each.soft, hard=each.hard) for each in request.ulimits),
        shm_size=request.shm_size or None,
        tmpfs=dict(request.tmpfs),
        umask=request.umask if request.HasField("umask") else None,
    )


def fill(message: pb.CreateContainerRequest, asked: tuple[Namespaces, Privileges, Devices, Kernel]) -> None:
    """The other way round."""
    _fill_namespaces(message, asked[0])
    _fill_privileges(message, asked[1])
    _fill_devices(message, asked[2])
    _fill_kernel(message, asked[3])


def _share(field: str, text: str) -> Share:
    if text.startswith(_CONTAINER) and len(text) > len(_CONTAINER):
        return Share(mode=ShareMode.CONTAINER, container=text.removeprefix(_CONTAINER))
    if text in ("", "private", "host"):
        return Share(mode=ShareMode(text or "private"))
    raise InvalidArgument(f"{field}: {text!r} is not one of private, host, container:ID")


def _users(request: pb.CreateContainerRequest) -> Users:
    text = request.user_namespace
    if text.startswith(_CONTAINER) and len(text) > len(_CONTAINER):
        users = Users(mode=UsersMode.CONTAINER, container=text.removeprefix(_CONTAINER))
    elif text in ("", "private", "host", "auto"):
        users = Users(
            mode=UsersMode(text),
            size=request.id_range_size or ID_RANGE_SIZE,
            uid_map=_maps(request.uid_mappings),
            gid_map=_maps(request.gid_mappings),
        )
    else:
        raise InvalidArgument(f"user_namespace: {text!r} is not one of private, host, auto, container:ID")
    if users.mode is not UsersMode.AUTO and (request.id_range_size or request.uid_mappings or request.gid_mappings):
        raise InvalidArgument("id_range_size, uid_mappings and gid_mappings go with user_namespace auto")
    return users


def _maps(mappings: Iterable[pb.IdMapping]) -> tuple[IdMap, ...]:
    return tuple(IdMap(inside=each.container_id, host=each.host_id, size=each.size) for each in mappings)


def _device(request: pb.DeviceRequest) -> DeviceRequest:
    where = request.container_path or request.host_path
    for path in (request.host_path, where):
        if not path.startswith("/") or "\0" in path or {".", ".."} & set(path.split("/")):
            raise InvalidArgument(f"device {path!r}: not an absolute path")
    return DeviceRequest(host_path=request.host_path, container_path=where, access=_access(request.access or "rwm"))


def _rule(rule: pb.DeviceRule) -> DeviceRule:
    if rule.type not in ("a", "b", "c"):
        raise InvalidArgument(f"device rule: {rule.type!r} is not one of a, b, c")
    return DeviceRule(
        type=rule.type,
        major=rule.major if rule.HasField("major") else None,
        minor=rule.minor if rule.HasField("minor") else None,
        access=_access(rule.access),
    )


def _access(text: str) -> str:
    if not text or set(text) - set("rwm") or len(set(text)) != len(text):
        raise InvalidArgument(f"device access {text!r} is not made of r, w and m")
    return text


def _fill_namespaces(message: pb.CreateContainerRequest, asked: Namespaces) -> None:
    message.pid, message.ipc = str(asked.pid), str(asked.ipc)
    message.uts, message.cgroupns = str(asked.uts), str(asked.cgroup)
    users = asked.users
    message.user_namespace = f"{_CONTAINER}{users.container}" if users.container else users.mode.value
    if users.mode is UsersMode.AUTO:
        message.id_range_size = users.size
    for field, maps in ((message.uid_mappings, users.uid_map), (message.gid_mappings, users.gid_map)):
        field.extend(pb.IdMapping(container_id=each.inside, host_id=each.host, size=each.size) for each in maps)


def _fill_privileges(message: pb.CreateContainerRequest, asked: Privileges) -> None:
    message.privileged = asked.privileged
    message.cap_add.extend(asked.cap_add)
    message.cap_drop.extend(asked.cap_drop)
    if asked.no_new_privileges is not None:
        message.no_new_privileges = asked.no_new_privileges
    message.seccomp, message.apparmor, message.selinux = asked.seccomp, asked.apparmor, asked.selinux
    message.mask.extend(asked.mask)
    message.unmask.extend(asked.unmask)
    message.group_add.extend(asked.group_add)


def _fill_devices(message: pb.CreateContainerRequest, asked: Devices) -> None:
    message.devices.extend(
        pb.DeviceRequest(host_path=each.host_path, container_path=each.container_path, access=each.access)
        for each in asked.requests
    )
    message.device_rules.extend(
        pb.DeviceRule(type=each.type, major=each.major, minor=each.minor, access=each.access) for each in asked.rules
    )


def _fill_kernel(message: pb.CreateContainerRequest, asked: Kernel) -> None:
    message.sysctl.update(asked.sysctl)
    message.ulimits.extend(pb.Ulimit(name=each.name, soft=each.soft, hard=each.hard) for each in asked.ulimits)
    message.shm_size = asked.shm_size or 0
    message.tmpfs.update(asked.tmpfs)
    if asked.umask is not None:
        message.umask = asked.umask
