"""All options that `run` and `create` share, and the request that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from aethel_cli.client import pb
from aethel_cli.options import devices, kernel, namespaces, privileges, program, teaching
from aethel_common.errors import InvalidArgument

_SUBJECTS: Final = (program, namespaces, privileges, devices, kernel, teaching)


def container_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all of them, and IMAGE and COMMAND."""
    options = (
        *(option for subject in _SUBJECTS for option in subject.OPTIONS),
        click.option("--cidfile", default="", help="Write its id to a file that is not there yet."),
        click.option("-q", "--quiet", is_flag=True, help="No progress while an image is built."),
        click.argument("image"),
        click.argument("command", nargs=-1, type=click.UNPROCESSED),
    )
    for option in reversed(options):
        command = option(command)
    return command


def request(options: dict[str, Any], *, start: bool) -> pb.CreateContainerRequest:
    """What they ask for. Raises InvalidArgument."""
    message = pb.CreateContainerRequest(create_only=not start)
    for subject in _SUBJECTS:
        try:
            subject.fill(message, options)
        except UnicodeEncodeError:
            raise InvalidArgument("an argument is not text in UTF-8") from None
    return message
