"""stop, kill, rm, wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from aethel_cli import session
from aethel_cli.client import Daemon, connect, errors, pb
from aethel_cli.render import complain
from aethel_common.errors import AethelError, DaemonUnreachable

_CONTAINERS = click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")


def each(host: str, containers: Iterable[str], action: Callable[[Daemon, str], object]) -> int:
    """Do it to each, print each name that went well; 1 when any did not."""
    code = 0
    with connect(host) as daemon:
        for name in containers:
            try:
                with errors(host):
                    action(daemon, name)
            except DaemonUnreachable:
                raise
            except AethelError as error:
                complain(error)
                code = 1
            else:
                click.echo(name)
    return code


@click.command()
@click.option("-t", "--timeout", "--time", type=click.IntRange(min=0), default=None, help="Seconds before SIGKILL.")
@click.option("-s", "--signal", "signal_name", default="", help="In place of the container's own stop signal.")
@_CONTAINERS
@click.pass_obj
def stop(host: str, timeout: int | None, signal_name: str, containers: tuple[str, ...]) -> int:
    """Stop containers: their stop signal, then SIGKILL after a time (10 seconds unless they say otherwise)."""

    def action(daemon: Daemon, name: str) -> None:
        daemon.stub.StopContainer(pb.StopRequest(container_id=name, timeout_seconds=timeout, signal=signal_name))

    return each(host, containers, action)


@click.command()
@click.option("-s", "--signal", "signal_name", default="KILL", show_default=True, help="Name or number.")
@_CONTAINERS
@click.pass_obj
def kill(host: str, signal_name: str, containers: tuple[str, ...]) -> int:
    """Send a signal to containers."""
    return each(
        host,
        containers,
        lambda daemon, name: daemon.stub.KillContainer(pb.KillRequest(container_id=name, signal=signal_name)),
    )


@click.command()
@click.option("-f", "--force", is_flag=True, help="Kill those that run.")
@_CONTAINERS
@click.pass_obj
def rm(host: str, force: bool, containers: tuple[str, ...]) -> int:
    """Remove containers and all they wrote."""
    return each(
        host,
        containers,
        lambda daemon, name: daemon.stub.RemoveContainer(pb.RemoveRequest(container_id=name, force=force)),
    )


@click.command()
@_CONTAINERS
@click.pass_obj
def wait(host: str, containers: tuple[str, ...]) -> None:
    """Wait until containers have stopped, and print their exit codes. Goes on across a restart of the daemon."""
    with connect(host) as daemon:
        # One that answers now may be waited for when it is gone for a while; one that does not is told at once.
        daemon.stub.GetVersion(pb.VersionRequest())
        for name in containers:
            click.echo(session.wait(host, name))
