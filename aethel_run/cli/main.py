"""The command's frame: global options, then one verb; every failure is one line in the log and on stderr."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from aethel_common.errors import AethelError, Unsupported, from_os
from aethel_run.cli.log import Log

_VERBS: Final = {
    "checkpoint": ("absent", "save a container's memory to disk (this runtime cannot)"),
    "create": ("create", "make a container, up to just before its program"),
    "delete": ("end", "give back all that a stopped container holds"),
    "events": ("events", "show a container's figures"),
    "exec": ("exec", "run another process in a container"),
    "explain": ("explain", "say, step by step, what would be done for a bundle"),
    "features": ("features", "say what this runtime can do, as JSON"),
    "kill": ("end", "send a signal to a container"),
    "list": ("look", "list containers"),
    "pause": ("pause", "freeze all processes of a container"),
    "ps": ("look", "list the processes of a container"),
    "restore": ("absent", "make a container of a checkpoint (this runtime cannot)"),
    "resume": ("pause", "let a paused container go on"),
    "run": ("create", "create and start a container, and wait for it"),
    "spec": ("spec", "write a config.json to start from"),
    "start": ("create", "run the program of a created container"),
    "state": ("look", "print the state of a container, as JSON"),
    "update": ("update", "change a container's limits"),
}


class Globals(NamedTuple):
    """What was said before the verb."""

    root: Path
    log: Log
    cgroup_manager: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; does not return."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
    except BrokenPipeError:
        code = 141
    sys.stdout.flush()
    sys.exit(code)


def _run(words: list[str]) -> int:
    options, (verb, *verb_words) = _split(words)
    try:
        log = Log(options.log, as_json=options.log_format == "json", debug=options.debug)
    except OSError as error:
        print(f"aethel-run: --log: {options.log}: {(error.strerror or '').lower()}", file=sys.stderr)
        return 1
    common = Globals(root=_root(options.root), log=log, cgroup_manager=_manager(options))
    try:
        module = importlib.import_module(f"aethel_run.cli.{_VERBS[verb][0]}")
        code: int = getattr(module, verb)(common, verb_words)
    except AethelError as error:
        return _fail(log, verb, error)
    except OSError as error:
        return _fail(log, verb, from_os(error, verb))
    return code


def _fail(log: Log, verb: str, error: AethelError) -> int:
    """What callers read is the log's last line: the error's."""
    for note in getattr(error, "__notes__", ()):
        log.warning(note)
    log.error(str(error))
    # An exec that came to nothing must not look like a program's own status. runc: 255
    return 255 if verb == "exec" else 1


def _split(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = _parser()
    options = parser.parse_args(words)
    if options.version:
        print(_version())
        sys.exit(0)
    if options.verb is None:
        parser.print_help()
        sys.exit(0)
    if options.verb not in _VERBS:
        parser.exit(1, f"aethel-run: no such command: {options.verb}\n")
    return options, [options.verb, *options.words]


def _parser() -> argparse.ArgumentParser:
    verbs = "\n".join(f"  {name:11} {text}" for name, (_, text) in _VERBS.items())
    parser = argparse.ArgumentParser(
        prog="aethel-run",
        description="A runtime for OCI bundles, called as runc is called.",
        epilog=f"commands (each has --help):\n{verbs}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--root", default="", metavar="DIR", help="what is remembered of containers; /run/aethel-run")
    parser.add_argument("--log", default="", metavar="FILE", help="where to log; stderr")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="text")
    parser.add_argument("--debug", action="store_true", help="log more")
    parser.add_argument("--systemd-cgroup", action="store_true", help="have systemd make the cgroups")
    parser.add_argument("--cgroup-manager", choices=("cgroupfs", "systemd", "disabled"), help="cgroupfs")
    parser.add_argument("--rootless", default="auto", choices=("auto", "true", "false"), help="found out by itself")
    parser.add_argument("-v", "--version", action="store_true", help="print the version")
    parser.add_argument("verb", nargs="?", metavar="COMMAND")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...")
    return parser


def _version() -> str:
    from importlib.metadata import version  # costs more than most verbs

    return f"aethel-run version {version('aethelred')}\nspec: 1.3.0"


def _root(asked: str) -> Path:
    if asked:
        return Path(asked).absolute()
    if os.geteuid() == 0:
        return Path("/run/aethel-run")
    return Path(os.environ.get("XDG_RUNTIME_DIR", f"/tmp/aethel-run-{os.geteuid()}")) / "aethel-run"  # noqa: S108


def _manager(options: argparse.Namespace) -> str:
    if options.systemd_cgroup and options.cgroup_manager not in (None, "systemd"):
        raise Unsupported("--systemd-cgroup and --cgroup-manager contradict each other")
    return "systemd" if options.systemd_cgroup else options.cgroup_manager or "cgroupfs"
