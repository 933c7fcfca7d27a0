"""What shows how a container is made: its story told, its protections left out."""

from __future__ import annotations

from typing import Any, Final

import click

from aethel_cli.client import pb

OPTIONS: Final = (
    click.option(
        "--explain",
        type=click.Choice(["text", "json"]),
        default=None,
        help="Tell every step and system call of the start on stderr, and keep it for `aethel explain`.",
    ),
    click.option(
        "--without",
        multiple=True,
        metavar="STEP",
        help="Leave one protection out, to see what it is for (--dry-run says which can be).",
    ),
)
"""For a command of class `aethel_cli.teaching.ExplainedCommand`."""


def fill(request: pb.CreateContainerRequest, options: dict[str, Any]) -> None:
    """Both are looked at by the daemon."""
    request.explain = bool(options["explain"])
    request.without.extend(options["without"])
