"""run, create, start, attach."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from aethel_cli import session, teaching, terminal
from aethel_cli.client import Daemon, connect, errors, pb
from aethel_cli.commands.images import build_with_progress
from aethel_cli.commands.stop import each
from aethel_cli.options.container import container_options, request
from aethel_cli.teaching import ExplainedCommand
from aethel_common.errors import AethelError, InvalidArgument, NotFound

_AFTER_IMAGE = {"ignore_unknown_options": False, "allow_interspersed_args": False}


@click.command(cls=ExplainedCommand, context_settings=_AFTER_IMAGE, no_args_is_help=False)
@click.option("-d", "--detach", is_flag=True, help="Leave it running and print its id.")
@click.option("--sig-proxy", type=bool, default=True, help="Pass our signals on (true).")
@click.option("--detach-keys", default=terminal.DETACH_KEYS, show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done, step by step, and do nothing.")
@container_options
@click.pass_obj
def run(host: str, /, detach: bool, sig_proxy: bool, detach_keys: str, dry_run: bool, **options: Any) -> int:
    """Run COMMAND in a new container of IMAGE and return its exit code.

    Without a command, an image whose own command is a shell gives you one when you sit at a terminal (as with -it).
    An image that ships as a recipe is built at its first use.

    \b
    aethel run demo-alpine
    aethel run --rm demo-alpine ls -l /
    echo hello | aethel run --rm -i demo-alpine cat
    aethel run -d --name web demo-alpine sleep 1000

    Exit code: the command's own, 128+n when signal n ended it; 125 our error, 126 not executable, 127 not found.
    """
    if _wants_shell(options, detach=detach):
        options["interactive"] = options["tty"] = True
    if options["tty"] and options["interactive"] and not detach and not sys.stdin.isatty():
        raise InvalidArgument("the input device is not a terminal", hint="leave out -t")
    terminal.parse_keys(detach_keys)
    explained = options["explain"] or ""
    asked = request(options, start=dry_run or (detach and not explained))
    with connect(host) as daemon:
        if dry_run:
            return _plan(daemon, asked, explained)
        with _cidfile(options["cidfile"]) as note:
            created = _create(daemon, asked, quiet=options["quiet"])
            note(created.container_id)
        teaching.warn(options["without"])
        if detach:
            if explained:
                _start_explained(daemon, created.container_id, explained)
            click.echo(created.container_id)
            return 0
        streams = session.Streams(
            container_id=created.container_id,
            start=True,
            stdin=options["interactive"],
            terminal=options["tty"],
            sig_proxy=sig_proxy,
            detach_keys=detach_keys,
            explain=explained,
        )
        return _attach_new(daemon, streams)


@click.command(cls=ExplainedCommand, context_settings=_AFTER_IMAGE)
@container_options
@click.pass_obj
def create(host: str, /, **options: Any) -> None:
    """Make a container of IMAGE without starting it, and print its id."""
    asked = request(options, start=False)
    with connect(host) as daemon, _cidfile(options["cidfile"]) as note:
        created = _create(daemon, asked, quiet=options["quiet"])
        note(created.container_id)
    teaching.warn(options["without"])
    click.echo(created.container_id)


@click.command()
@click.option("-a", "--attach", "attached", is_flag=True, help="Show what it writes; return its exit code.")
@click.option("-i", "--interactive", is_flag=True, help="With -a: pass our stdin on.")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@click.pass_obj
def start(host: str, attached: bool, interactive: bool, containers: tuple[str, ...]) -> int:
    """Start containers that were created or have stopped."""
    if not attached and not interactive:
        return each(host, containers, lambda d, name: d.stub.StartContainer(pb.StartRequest(container_id=name)))
    if len(containers) > 1:
        raise InvalidArgument("only one container can be attached to")
    with connect(host) as daemon:
        detail = daemon.stub.InspectContainer(pb.InspectRequest(container_id=containers[0]))
        streams = session.Streams(
            container_id=detail.info.id, start=True, stdin=interactive, terminal=detail.config.terminal
        )
        return session.attach(daemon, streams)


@click.command()
@click.option("--no-stdin", is_flag=True, help="Only listen.")
@click.option("--sig-proxy", type=bool, default=True, help="Pass our signals on (true).")
@click.option("--detach-keys", default=terminal.DETACH_KEYS, show_default=True)
@click.argument("container")
@click.pass_obj
def attach(host: str, no_stdin: bool, sig_proxy: bool, detach_keys: str, container: str) -> int:
    """Attach to a running container; Ctrl-P Ctrl-Q leaves it running."""
    with connect(host) as daemon:
        detail = daemon.stub.InspectContainer(pb.InspectRequest(container_id=container))
        streams = session.Streams(
            container_id=detail.info.id,
            start=False,
            stdin=detail.config.open_stdin and not no_stdin,
            terminal=detail.config.terminal,
            sig_proxy=sig_proxy,
            detach_keys=detach_keys,
        )
        return session.attach(daemon, streams)


def _wants_shell(options: dict[str, Any], *, detach: bool) -> bool:
    asked = options["interactive"] or options["tty"] or detach or options["command"]
    return not asked and terminal.is_terminal()


def _attach_new(daemon: Daemon, streams: session.Streams) -> int:
    try:
        return session.attach(daemon, streams)
    except AethelError:
        _abandon(daemon, streams.container_id, streams.explain)
        raise


def _plan(daemon: Daemon, request: pb.CreateContainerRequest, form: str) -> int:
    for response in daemon.stub.ExplainContainer(pb.ExplainRequest(container=request, json=form == "json")):
        click.echo(response.text, nl=False)
    return 0


def _start_explained(daemon: Daemon, container_id: str, form: str) -> None:
    try:
        with errors(daemon.socket):
            started = daemon.stub.StartContainer(pb.StartRequest(container_id=container_id, explain=form))
    except AethelError:
        _abandon(daemon, container_id, form)
        raise
    click.echo(started.story, nl=False, err=True)


def _abandon(daemon: Daemon, container_id: str, form: str) -> None:
    """What did not start has a story all the same."""
    if form:
        try:
            with errors(daemon.socket):
                teaching.show(daemon, container_id, form)
        except AethelError:
            pass  # the first error is the one to tell
    _forget_unstarted(daemon, container_id)


def _forget_unstarted(daemon: Daemon, container_id: str) -> None:
    """A foreground container that could not start is of no use to anyone; one that did start is left alone."""
    import grpc

    try:
        detail = daemon.stub.InspectContainer(pb.InspectRequest(container_id=container_id))
        if detail.info.status == "created":
            daemon.stub.RemoveContainer(pb.RemoveRequest(container_id=container_id))
    except grpc.RpcError:
        pass  # the first error is the one to tell


def _create(daemon: Daemon, request: pb.CreateContainerRequest, *, quiet: bool) -> pb.CreateContainerResponse:
    """Create; an image that is not there but ships as a recipe is built first."""
    try:
        return _create_once(daemon, request)
    except NotFound:
        images = daemon.stub.ListImages(pb.ListImagesRequest())
        if request.image_name not in images.buildable:
            raise
    build_with_progress(daemon, request.image_name, quiet=quiet)
    return _create_once(daemon, request)


def _create_once(daemon: Daemon, request: pb.CreateContainerRequest) -> pb.CreateContainerResponse:
    from aethel_cli.client import errors

    with errors(daemon.socket):
        response: pb.CreateContainerResponse = daemon.stub.CreateContainer(request)
        return response


@contextmanager
def _cidfile(path: str) -> Iterator[Callable[[str], object]]:
    """A new file to note the id in, made before the container is; gone again if that fails."""
    if not path:
        yield lambda container_id: None
        return
    try:
        file = open(path, "x")  # noqa: SIM115 -- closed below
    except OSError as error:
        raise InvalidArgument(f"{path}: {error.strerror}") from error
    try:
        with file:
            yield file.write
    except BaseException:
        os.unlink(path)
        raise
