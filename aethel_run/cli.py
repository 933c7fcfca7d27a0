"""`aethel-run`: run one OCI bundle in the foreground, write a document, or explain what would be done."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from aethel_common.errors import (
    AethelError,
    AlreadyExists,
    InvalidArgument,
    InvalidSpec,
    NotFound,
    Unsupported,
    from_os,
)

_CONFIG: Final = "config.json"


def main() -> None:
    """Every failure is one line and exit status 1; `run` returns the program's own status."""
    arguments = _parser().parse_args()
    try:
        try:
            code: int = arguments.verb(arguments)
        except OSError as error:
            raise from_os(error, arguments.name) from error
    except AethelError as error:
        sys.exit(f"aethel-run: {error}")
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aethel-run", description="A runtime for OCI bundles.")
    verbs = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    run = verbs.add_parser("run", help="run a bundle in the foreground, on our own stdin, stdout and stderr")
    run.add_argument("-b", "--bundle", default=".", help="directory with config.json and the root; default: this one")
    run.set_defaults(verb=_run)
    spec = verbs.add_parser("spec", help="write a config.json to start from")
    spec.add_argument("-b", "--bundle", default=".", help="where; default: this directory")
    spec.set_defaults(verb=_spec)
    explain = verbs.add_parser("explain", help="say, step by step, what would be done for a bundle")
    explain.add_argument("bundle", nargs="?", default=".")
    explain.set_defaults(verb=_explain)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from aethel_run.lifecycle.create import CreateOptions, create
    from aethel_run.lifecycle.rootfs import open_directory
    from aethel_run.spec.load import decode

    bundle = Path(arguments.bundle).resolve()
    spec = decode(_read(bundle))
    if spec.process is None:
        raise InvalidSpec("config.json: process: not set, so there is nothing to run")
    if spec.process.terminal:
        raise Unsupported("config.json: process.terminal: there is no terminal here", hint="set it to false")
    container = create(
        spec, CreateOptions(open_rootfs=open_directory(str(bundle / spec.root.path)), bundle=str(bundle))
    )
    try:
        container.start()
    except BaseException:
        container.abandon()
        raise
    result = os.waitid(os.P_PIDFD, container.pidfd, os.WEXITED)
    assert result is not None
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def _spec(arguments: argparse.Namespace) -> int:
    from aethel_run.spec.load import encode
    from aethel_run.spec.template import default_spec

    path = Path(arguments.bundle) / _CONFIG
    try:
        with open(path, "xb") as file:
            file.write(encode(default_spec()))
    except FileExistsError:
        raise AlreadyExists(f"{path} is there already") from None
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    import socket

    from aethel_run.init.context import Init
    from aethel_run.init.plan import SETUP_STEPS, START_STEPS
    from aethel_run.init.step import applicable
    from aethel_run.spec.load import decode
    from aethel_run.spec.process import Process

    spec = decode(_read(Path(arguments.bundle)))
    with socket.socket() as nobody:
        process = spec.process or Process(cwd="/")
        stdio = None if process.terminal else (0, 1, 2)
        init = Init(spec=spec, process=process, rootfs_fd=-1, sources={}, stdio=stdio, sync=nobody)
        for number, step in enumerate(applicable((*SETUP_STEPS, *START_STEPS), init), start=1):
            print(f"{number:2} {step.name:24} {step.sentence}  [{step.man}]")
    return 0


def _read(bundle: Path) -> bytes:
    if not bundle.is_dir():
        raise InvalidArgument(f"{bundle} is not a directory")
    try:
        return (bundle / _CONFIG).read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no {_CONFIG} in {bundle}", hint="`aethel-run spec` writes one") from None


if __name__ == "__main__":
    main()
