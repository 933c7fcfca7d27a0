"""explain: how a container was made."""

from __future__ import annotations

import click

from aethel_cli.client import connect, pb


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each event.")
@click.argument("container")
@click.pass_obj
def explain(host: str, as_json: bool, container: str) -> None:
    """Tell how the newest start of CONTAINER went: each step, each system call, its result and time.

    Of a container that was made with --explain. `aethel run --dry-run` tells what would be done.
    """
    with connect(host) as daemon:
        for response in daemon.stub.ExplainContainer(pb.ExplainRequest(container_id=container, json=as_json)):
            click.echo(response.text, nl=False)
