"""Protobuf to the engine's words and back: the only place that names both."""

from __future__ import annotations

from typing import Final

from aethel_common.errors import InvalidArgument
from aethel_common.rpc import aethel_pb2 as pb
from aethel_d.api import options
from aethel_d.engine import privileges
from aethel_d.engine.info import Info
from aethel_d.engine.model import ContainerConfig, Exit, LogLine, NetworkMode, View, Window
from aethel_d.engine.namespaces import network_share
from aethel_run.spec.template import default_spec
from aethel_storage.images import Image

_MAX_TIMEOUT: Final = 7 * 24 * 3600


def config(request: pb.CreateContainerRequest) -> ContainerConfig:
    """What is asked of a new container. Raises InvalidArgument naming the field."""
    if not request.image_name:
        raise InvalidArgument("image_name: empty")
    command = ((request.command,) if request.command else ()) + tuple(request.args)
    _check_strings(request, command)
    return ContainerConfig(
        image=request.image_name,
        command=command,
        name=request.name,
        env=tuple(request.env),
        working_dir=_absolute(request.working_dir),
        user=request.user,
        hostname=request.hostname,
        domainname=request.domainname,
        entrypoint=_entrypoint(request),
        read_only=request.read_only,
        terminal=request.terminal,
        open_stdin=request.open_stdin,
        auto_remove=request.auto_remove,
        network=_network(request.network),
        network_container=_network_container(request.network),
        namespaces=options.namespaces(request),
        privileges=options.privileges(request),
        devices=options.devices(request),
        kernel=options.kernel(request),
        stop_signal=request.stop_signal,
        stop_timeout_seconds=_timeout(request),
        labels=dict(request.labels),
        annotations=dict(request.annotations),
        explain=request.explain,
        without=tuple(request.without),
    )


def detail(view: View) -> pb.ContainerDetail:
    """Everything about one container."""
    container = view.container
    message = pb.ContainerDetail(
        info=info(view),
        config=request(container.config),
        argv=container.argv,
        env=container.env,
        working_dir=container.working_dir,
        image_digest=container.image_digest,
        network=_network_detail(view),
        log_path=view.log_path,
        bundle_path=view.bundle_path,
        cgroup_path=view.cgroup_path,
        hostname=container.hostname,
    )
    if container.run is not None and view.status in ("running", "paused"):
        message.pid, message.monitor_pid = container.run.init.pid, container.run.monitor.pid
    if container.exit is not None:
        message.error, message.oom_killed = container.exit.error, container.exit.oom_killed
    if container.id_base is not None:
        message.id_range.CopyFrom(pb.IdRange(host_id=container.id_base, size=container.id_size))
    asked = container.config.privileges
    masked, read_only = privileges.hidden_paths(asked, default_spec().linux)
    message.capabilities.extend(privileges.capabilities(asked))
    message.masked_paths.extend(masked)
    message.readonly_paths.extend(read_only)
    return message


def info(view: View) -> pb.ContainerInfo:
    """A line of `ps`."""
    container = view.container
    return pb.ContainerInfo(
        id=container.id,
        image=container.config.image,
        status=view.status.value,
        ip_address=view.address.ip_address if view.address else "",
        name=container.name,
        command=container.argv,
        created_at=container.created_ns,
        started_at=container.run.started_ns if container.run else 0,
        finished_at=container.exit.finished_ns if container.exit else 0,
        exit_code=container.exit.code if container.exit else 0,
        labels=container.config.labels,
        without=container.config.without,
    )


def request(config: ContainerConfig) -> pb.CreateContainerRequest:
    """A configuration as it was asked for."""
    message = pb.CreateContainerRequest(
        image_name=config.image,
        command=config.command[0] if config.command else "",
        args=config.command[1:],
        name=config.name,
        env=config.env,
        working_dir=config.working_dir,
        user=config.user,
        hostname=config.hostname,
        domainname=config.domainname,
        read_only=config.read_only,
        terminal=config.terminal,
        open_stdin=config.open_stdin,
        auto_remove=config.auto_remove,
        network=_network_word(config),
        stop_signal=config.stop_signal,
        labels=config.labels,
        annotations=config.annotations,
        explain=config.explain,
        without=config.without,
    )
    options.fill(message, (config.namespaces, config.privileges, config.devices, config.kernel))
    if config.entrypoint is not None:
        message.entrypoint = " ".join(config.entrypoint)
    if config.stop_timeout_seconds is not None:
        message.stop_timeout_seconds = config.stop_timeout_seconds
    return message


def end(end: Exit) -> pb.ContainerExit:
    """How a container ended."""
    return pb.ContainerExit(
        exit_code=end.code,
        signal=end.signal,
        finished_at=end.finished_ns,
        oom_killed=end.oom_killed,
        error=end.error,
    )


def log_entry(line: LogLine) -> pb.LogEntry:
    """A record as it was written."""
    stream = pb.STREAM_STDERR if line.is_stderr else pb.STREAM_STDOUT
    return pb.LogEntry(data=line.data, stream=stream, time=line.time_ns)


def image(image: Image) -> pb.ImageInfo:
    """A line of `images`."""
    return pb.ImageInfo(name=image.name, digest=image.digest, size=image.size, created_at=image.created_ns)


def features(info: Info) -> list[pb.Feature]:
    """What was looked for on the host."""
    return [pb.Feature(name=each.name, available=each.available, detail=each.detail) for each in info.features]


def window(size: pb.WindowSize) -> Window:
    """A terminal's size; the kernel keeps 16 bits of each."""
    return Window(rows=min(size.rows, 65535), columns=min(size.columns, 65535))


def _network_detail(view: View) -> pb.NetworkDetail:
    mode = _network_word(view.container.config)
    if view.address is None:
        return pb.NetworkDetail(mode=mode)
    address = view.address
    return pb.NetworkDetail(
        mode=mode,
        bridge=address.bridge,
        ip_address=address.ip_address,
        prefix_length=address.prefix_length,
        gateway=address.gateway,
        mac_address=address.mac_address,
        host_link=address.host_link,
    )


def _check_strings(request: pb.CreateContainerRequest, command: tuple[str, ...]) -> None:
    strings = (*command, *request.env, request.working_dir, request.user, request.entrypoint)
    if any("\0" in text for text in strings):
        raise InvalidArgument("a NUL byte cannot be part of a command, its environment, directory or user")
    for entry in request.env:
        if "=" not in entry or entry.startswith("="):
            raise InvalidArgument(f"env: {entry!r} is not KEY=VALUE")


def _absolute(path: str) -> str:
    if path and not path.startswith("/"):
        raise InvalidArgument(f"working_dir: {path!r} is not absolute")
    return path


def _entrypoint(request: pb.CreateContainerRequest) -> tuple[str, ...] | None:
    if not request.HasField("entrypoint"):
        return None
    return (request.entrypoint,) if request.entrypoint else ()


def _network(word: str) -> NetworkMode:
    if _network_container(word):
        return NetworkMode.CONTAINER
    if word in ("", "bridge", "none", "host"):
        return NetworkMode(word or "bridge")
    raise InvalidArgument(f"network: {word!r} is not one of bridge, none, host, container:ID")


def _network_word(config: ContainerConfig) -> str:
    share = network_share(config)
    return str(share) if share.container else config.network.value


def _network_container(word: str) -> str:
    return word.removeprefix("container:") if word.startswith("container:") else ""


def _timeout(request: pb.CreateContainerRequest) -> int | None:
    if not request.HasField("stop_timeout_seconds"):
        return None
    if request.stop_timeout_seconds > _MAX_TIMEOUT:
        raise InvalidArgument(f"stop_timeout_seconds: more than {_MAX_TIMEOUT}")
    return int(request.stop_timeout_seconds)
