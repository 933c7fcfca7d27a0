"""What runs, as whom, where, and what it is called."""

from __future__ import annotations

from typing import Any, Final

import click

from aethel_cli.client import pb
from aethel_cli.options.environment import environment
from aethel_cli.options.pairs import pairs
from aethel_common import names
from aethel_common.errors import InvalidArgument

OPTIONS: Final = (
    click.option("--name", default="", help="A name; one is made up otherwise."),
    click.option("-i", "--interactive", is_flag=True, help="Keep stdin open and pass ours on."),
    click.option("-t", "--tty", is_flag=True, help="Give it a terminal."),
    click.option("-e", "--env", multiple=True, metavar="K[=V]", help="Set a variable, or pass ours on."),
    click.option("--env-file", multiple=True, type=click.Path(dir_okay=False), help="Lines of K=V."),
    click.option("-w", "--workdir", default="", help="Where it starts; made if missing."),
    click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="Names or numbers."),
    click.option("-h", "--hostname", default="", help="Its host name; the short id otherwise."),
    click.option("--domainname", default="", help="Its NIS domain name, and the end of its full name."),
    click.option("--entrypoint", default=None, help="In place of the image's; '' for none."),
    click.option("--read-only", is_flag=True, help="The root cannot be written."),
    click.option("--rm", "auto_remove", is_flag=True, help="Remove it when it has stopped."),
    click.option("--stop-signal", default="", help="What `stop` sends first."),
    click.option("--stop-timeout", type=click.IntRange(min=0), help="Seconds before `stop` kills.", default=None),
    click.option("-l", "--label", multiple=True, metavar="K=V", help="Note something about it."),
    click.option("--annotation", multiple=True, metavar="K=V", help="An annotation of its OCI document."),
)


def fill(request: pb.CreateContainerRequest, options: dict[str, Any]) -> None:
    """Raises InvalidArgument."""
    command: tuple[str, ...] = options["command"]
    if command and not command[0]:
        raise InvalidArgument("empty command")
    request.image_name = options["image"]
    request.command = command[0] if command else ""
    request.args.extend(command[1:])
    request.name = names.check(options["name"]) if options["name"] else ""
    request.env.extend(environment(options["env_file"], options["env"]))
    request.working_dir = options["workdir"]
    request.user = options["user"]
    request.hostname = options["hostname"]
    request.domainname = options["domainname"]
    if options["entrypoint"] is not None:
        request.entrypoint = options["entrypoint"]
    request.read_only = options["read_only"]
    request.terminal = options["tty"]
    request.open_stdin = options["interactive"]
    request.auto_remove = options["auto_remove"]
    request.stop_signal = options["stop_signal"]
    if options["stop_timeout"] is not None:
        request.stop_timeout_seconds = options["stop_timeout"]
    request.labels.update(pairs("label", options["label"]))
    request.annotations.update(pairs("annotation", options["annotation"], value_needed=True))
