"""version and info."""

from __future__ import annotations

import platform
from typing import Any

import click

from aethel_cli import render
from aethel_cli.client import connect, pb

_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.command()
@_FORMAT
@click.pass_obj
def version(host: str, form: str) -> None:
    """Show the versions of both ends."""
    from importlib.metadata import version as installed  # it reads mail headers: 11 ms, for this command alone

    client = {"Version": installed("aethelred"), "PythonVersion": platform.python_version()}
    if form == "text":
        _print({"Client": client})
    with connect(host) as daemon:
        answer = daemon.stub.GetVersion(pb.VersionRequest())
    server = {
        "Version": answer.version,
        "ApiVersion": answer.api_version,
        "PythonVersion": answer.python_version,
        "KernelVersion": answer.kernel_version,
        "Os": answer.os,
        "Arch": answer.arch,
    }
    if form == "text":
        _print({"Server": server})
    else:
        click.echo(render.json({"Client": client, "Server": server}, indent=4))


@click.command()
@_FORMAT
@click.pass_obj
def info(host: str, form: str) -> None:
    """Show the daemon, its paths and what its kernel can do."""
    with connect(host) as daemon:
        answer = daemon.stub.GetInfo(pb.InfoRequest())
    facts: dict[str, Any] = {
        "Version": answer.version,
        "DaemonPid": answer.daemon_pid,
        "LauncherPid": answer.launcher_pid,
        "StateRoot": answer.state_root,
        "RunRoot": answer.run_root,
        "CacheRoot": answer.cache_root,
        "Socket": answer.socket,
        "CgroupRoot": answer.cgroup_root,
        "KernelVersion": answer.kernel_version,
        "Bridge": answer.bridge,
        "Subnet": answer.subnet,
        "Containers": answer.containers,
        "ContainersRunning": answer.containers_running,
        "Images": answer.images,
    }
    if form == "json":
        facts["Features"] = [
            {"Name": each.name, "Available": each.available, "Detail": each.detail} for each in answer.features
        ]
        facts["Warnings"] = list(answer.warnings)
        click.echo(render.json(facts, indent=4))
        return
    facts["Features"] = {
        each.name: ("yes" if each.available else "NO") + (f" ({each.detail})" if each.detail else "")
        for each in answer.features
    }
    _print(facts)
    for warning in answer.warnings:
        click.echo(f"warning: {warning}", err=True)


def _print(facts: dict[str, Any]) -> None:
    for key, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{key}:")
            for name, detail in value.items():
                click.echo(f"  {name}: {detail}")
        else:
            click.echo(f"{key}: {value}")
