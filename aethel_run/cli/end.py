"""kill, delete."""

from __future__ import annotations

from collections.abc import Sequence

from aethel_common import names
from aethel_common.errors import NotFound
from aethel_run.cli import arguments
from aethel_run.cli.main import Globals


def kill(common: Globals, words: Sequence[str]) -> int:
    """kill ID [SIGNAL]"""
    from aethel_run.operations.kill import kill as send

    parser = arguments.parser("kill", "Send a signal to a container's first process.")
    parser.add_argument("signal", nargs="?", default="TERM", help="name or number; TERM")
    parser.add_argument("-a", "--all", action="store_true", help="to all of its processes")
    options = parser.parse_args(words)
    send(arguments.find(common, options.id), names.signal_number(options.signal), everyone=options.all)
    return 0


def delete(common: Globals, words: Sequence[str]) -> int:
    """delete ID"""
    from aethel_run.operations.delete import delete as remove

    parser = arguments.parser("delete", "Give back all that a stopped container holds.")
    parser.add_argument("-f", "--force", action="store_true", help="kill it first; no error when it is not there")
    options = parser.parse_args(words)
    try:
        remove(arguments.find(common, options.id), common.log.warning, force=options.force)
    except NotFound:
        if not options.force:
            raise
    return 0
