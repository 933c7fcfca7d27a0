"""images: list them, build them."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from aethel_cli import render
from aethel_cli.client import Daemon, connect, errors, pb
from aethel_cli.render import age, size, table


def build_with_progress(daemon: Daemon, name: str, *, quiet: bool) -> pb.ImageInfo:
    """Build a recipe, telling on stderr how it goes. Raises AethelError."""
    with errors(daemon.socket):
        updates = daemon.stub.BuildImage(pb.BuildImageRequest(name=name))
        if quiet or not sys.stderr.isatty():
            return _plainly(updates, name, quiet=quiet)
        return _with_bar(updates, name)


def _plainly(updates: Any, name: str, *, quiet: bool) -> pb.ImageInfo:
    stage = ""
    for update in updates:
        if update.HasField("image"):
            image: pb.ImageInfo = update.image
            return image
        if update.stage != stage and not quiet:
            stage = update.stage
            click.echo(f"building {name}: {stage}", err=True)
    raise AssertionError("the last update has the image")


def _with_bar(updates: Any, name: str) -> pb.ImageInfo:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"building {name}", total=None)
        for update in updates:
            if update.HasField("image"):
                image: pb.ImageInfo = update.image
                return image
            progress.update(
                task,
                description=f"building {name}: {update.stage}",
                completed=update.done,
                total=update.total or None,
            )
    raise AssertionError("the last update has the image")


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Digests only.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def images(host: str, quiet: bool, form: str) -> None:
    """List images, and the recipes that can be built."""
    with connect(host) as daemon:
        found = daemon.stub.ListImages(pb.ListImagesRequest())
    if quiet:
        for each in found.images:
            click.echo(each.digest)
    elif form == "json":
        for each in found.images:
            click.echo(render.json({"Name": each.name, "Digest": each.digest, "Size": each.size}))
    else:
        now = time.time_ns()
        rows = [(i.name, i.digest[7:19], age(now - i.created_at) + " ago", size(i.size)) for i in found.images]
        click.echo(table(("NAME", "DIGEST", "CREATED", "SIZE"), rows), nl=False)
        for name in found.buildable:
            click.echo(f"{name} can be built: aethel image build {name}", err=True)


@click.group()
def image() -> None:
    """Images: list them, build those that ship as recipes."""


@image.command()
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.argument("name")
@click.pass_obj
def build(host: str, quiet: bool, name: str) -> None:
    """Build a recipe from its pinned source, and print the image's digest."""
    with connect(host) as daemon:
        click.echo(build_with_progress(daemon, name, quiet=quiet).digest)


image.add_command(images, "ls")
