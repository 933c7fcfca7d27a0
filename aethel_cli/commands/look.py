"""ps, logs, inspect."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any

import click

from aethel_cli import render
from aethel_cli.client import Daemon, connect, errors, pb
from aethel_cli.hostconfig import host_config
from aethel_cli.render import age, complain, table
from aethel_common.errors import AethelError, DaemonUnreachable


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that do not run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("-n", "--last", type=int, default=None, help="The newest N, running or not.")
@click.option("-l", "--latest", is_flag=True, help="The newest one, running or not.")
@click.option("--no-trunc", is_flag=True, help="Cut nothing short.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def ps(host: str, everything: bool, quiet: bool, last: int | None, latest: bool, no_trunc: bool, form: str) -> None:
    """List containers: those that run, unless told otherwise."""
    with connect(host) as daemon:
        found = list(daemon.stub.ListContainers(pb.Empty()))
    last = 1 if latest else last
    if last is not None:
        found = found[:last]
    elif not everything:
        found = [each for each in found if each.status in ("running", "paused")]
    if quiet:
        for each in found:
            click.echo(each.id if no_trunc else each.id[:12])
    elif form == "json":
        for each in found:
            click.echo(render.json(_as_json(each)))
    else:
        head = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "IP", "NAMES")
        click.echo(table(head, [_row(each, no_trunc) for each in found]), nl=False)


def _row(each: pb.ContainerInfo, no_trunc: bool) -> tuple[str, ...]:
    command = " ".join(each.command)
    command = command if no_trunc or len(command) <= 20 else command[:19] + "…"
    created = age(time.time_ns() - each.created_at) + " ago"
    container_id = each.id if no_trunc else each.id[:12]
    return (container_id, each.image, f'"{command}"', created, _status(each), each.ip_address, each.name)


def _status(each: pb.ContainerInfo) -> str:
    now = time.time_ns()
    if each.status == "running":
        without = f" (WITHOUT {', '.join(each.without)})" if each.without else ""
        return f"Up {age(now - each.started_at)}{without}"
    if each.status == "stopped":
        return f"Exited ({each.exit_code}) {age(now - each.finished_at)} ago"
    return each.status.capitalize()


def _as_json(each: pb.ContainerInfo) -> dict[str, Any]:
    return {
        "ID": each.id,
        "Image": each.image,
        "Command": list(each.command),
        "CreatedAt": _time(each.created_at),
        "State": each.status,
        "Status": _status(each),
        "ExitCode": each.exit_code,
        "IPAddress": each.ip_address,
        "Names": each.name,
        "Labels": dict(each.labels),
        "Without": list(each.without),
    }


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until the container has stopped.")
@click.option("-n", "--tail", default="all", show_default=True, help="The last so many lines.")
@click.option("-t", "--timestamps", is_flag=True, help="When each line was written.")
@click.argument("container")
@click.pass_obj
def logs(host: str, follow: bool, tail: str, timestamps: bool, container: str) -> None:
    """Show what a container wrote: its stdout on ours, its stderr on ours."""
    request = pb.LogsRequest(container_id=container, follow=follow, raw=True, timestamps=timestamps)
    if tail.isdigit():
        request.tail = int(tail)
    shown = _Shown(timestamps)
    with connect(host) as daemon:
        # The id, not the name: after a restart of the daemon the same container is to be followed.
        detail = daemon.stub.InspectContainer(pb.InspectRequest(container_id=container))
        request.container_id = detail.info.id
        while True:
            try:
                with errors(host):
                    shown.all_of(daemon, request)
                return
            except DaemonUnreachable:
                if not follow or not shown.wait_for_daemon(host):
                    raise
                daemon, request = Daemon(host), shown.resumed(request)


class _Shown:
    """What has been shown, so that a new connection can go on behind it."""

    def __init__(self, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._count = 0
        self._skip = 0
        self._fresh = {1: True, 2: True}

    def all_of(self, daemon: Daemon, request: pb.LogsRequest) -> None:
        """Show every record of the call."""
        for entry in daemon.stub.StreamLogs(request):
            if self._skip:
                self._skip -= 1
                continue
            self._show(entry)
            self._count += 1

    def resumed(self, request: pb.LogsRequest) -> pb.LogsRequest:
        """The request again; what was shown is passed over (a tail cannot be counted from the end any more)."""
        if request.HasField("tail"):
            return pb.LogsRequest(container_id=request.container_id, follow=True, raw=True, tail=0)
        self._skip, self._count = self._count, self._count
        return request

    @staticmethod
    def wait_for_daemon(host: str) -> bool:
        """Whether one answers again within some seconds."""
        for _ in range(75):
            time.sleep(0.2)
            try:
                with errors(host):
                    Daemon(host).stub.GetVersion(pb.VersionRequest())
                return True
            except AethelError:
                continue
        return False

    def _show(self, entry: pb.LogEntry) -> None:
        out = sys.stderr.buffer if entry.stream == pb.STREAM_STDERR else sys.stdout.buffer
        if self._timestamps and self._fresh[entry.stream]:
            out.write(_time(entry.time).encode() + b" ")
        self._fresh[entry.stream] = entry.data.endswith(b"\n")
        out.write(entry.data)
        out.flush()


@click.command()
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@click.pass_obj
def inspect(host: str, containers: tuple[str, ...]) -> int:
    """Show everything about containers, as a JSON array."""
    found, code = [], 0
    with connect(host) as daemon:
        for name in containers:
            try:
                with errors(host):
                    found.append(_detail(daemon.stub.InspectContainer(pb.InspectRequest(container_id=name))))
            except DaemonUnreachable:
                raise
            except AethelError as error:
                complain(error)
                code = 1
    click.echo(render.json(found, indent=4))
    return code


def _detail(detail: pb.ContainerDetail) -> dict[str, Any]:
    """Docker's keys where it has them."""
    info, config, network = detail.info, detail.config, detail.network
    return {
        "Id": info.id,
        "Name": info.name,
        "Created": _time(info.created_at),
        "Path": detail.argv[0],
        "Args": list(detail.argv[1:]),
        "State": {
            "Status": info.status,
            "Running": info.status == "running",
            "Paused": info.status == "paused",
            "OOMKilled": detail.oom_killed,
            "Pid": detail.pid,
            "ExitCode": info.exit_code,
            "Error": detail.error,
            "StartedAt": _time(info.started_at),
            "FinishedAt": _time(info.finished_at),
        },
        "Image": detail.image_digest,
        "Config": {
            "Image": info.image,
            "Hostname": detail.hostname,
            "Domainname": config.domainname,
            "User": config.user,
            "Env": list(detail.env),
            "Cmd": [*([config.command] if config.command else []), *config.args],
            "Entrypoint": [config.entrypoint] if config.HasField("entrypoint") else None,
            "WorkingDir": detail.working_dir,
            "Labels": dict(info.labels),
            "Tty": config.terminal,
            "OpenStdin": config.open_stdin,
        },
        "HostConfig": host_config(detail),
        "NetworkSettings": {
            "Networks": {
                network.mode: {
                    "IPAddress": network.ip_address,
                    "IPPrefixLen": network.prefix_length,
                    "Gateway": network.gateway,
                    "MacAddress": network.mac_address,
                    "HostLink": network.host_link,
                    "Bridge": network.bridge,
                }
            }
        },
        "BoundingCaps": list(detail.capabilities),
        "IdRange": {"HostId": detail.id_range.host_id, "Size": detail.id_range.size},
        "Without": list(config.without),
        "MonitorPid": detail.monitor_pid,
        "LogPath": detail.log_path,
        "BundlePath": detail.bundle_path,
        "CgroupPath": detail.cgroup_path,
    }


def _time(nanoseconds: int) -> str:
    """RFC 3339 with nine digits; Docker's zero for "not yet"."""
    if not nanoseconds:
        return "0001-01-01T00:00:00Z"
    second, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
