"""state, list, ps."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.operations import query
from aethel_run.state import Store


def state(common: Globals, words: Sequence[str]) -> int:
    """state ID"""
    options = arguments.parser("state", "Print the state of a container, as JSON.").parse_args(words)
    print(json.dumps(query.line(arguments.find(common, options.id)).document, indent=2))
    return 0


def list(common: Globals, words: Sequence[str]) -> int:
    """list"""
    parser = arguments.parser("list", "List containers.", container=False)
    parser.add_argument("-f", "--format", choices=("table", "json"), default="table")
    parser.add_argument("-q", "--quiet", action="store_true", help="ids only")
    options = parser.parse_args(words)
    found = query.lines(Store(common.root))
    if options.quiet:
        for each in found:
            print(each.id)
    elif options.format == "json":
        print(json.dumps([each.document for each in found]))
    else:
        rows = [(each.id, str(each.pid), each.status, each.bundle, each.created, each.owner) for each in found]
        _print_table(("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"), rows)
    return 0


def ps(common: Globals, words: Sequence[str]) -> int:
    """ps ID [ps options]"""
    parser = arguments.parser("ps", "List the processes of a container; what follows the id goes to ps(1).")
    parser.add_argument("-f", "--format", choices=("table", "json"), default="table")
    options, given = parser.parse_known_args(words)
    pids = query.pids(arguments.find(common, options.id))
    if options.format == "json":
        print(json.dumps(pids))
        return 0
    return _ps(pids, given or ["-ef"])


def _ps(pids: Sequence[int], given: Sequence[str]) -> int:
    """By the host's ps(1), whose columns people know."""
    import subprocess

    done = subprocess.run(["ps", *given], stdout=subprocess.PIPE, text=True, check=False)
    head, *rest = done.stdout.splitlines() or [""]
    column = head.split().index("PID") if "PID" in head.split() else 0
    wanted = {str(pid) for pid in pids}
    print("\n".join((head, *(row for row in rest if row.split()[column] in wanted))))
    return done.returncode


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
