"""exec: another process in a container."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from aethel_common.errors import InvalidArgument, NotFound
from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.operations import exec as executing
from aethel_run.operations import foreground
from aethel_run.spec.load import decode_process
from aethel_run.spec.process import Capabilities, Process, User
from aethel_run.spec.rules import process as rules
from aethel_run.state import Container


def exec(common: Globals, words: Sequence[str]) -> int:
    """exec ID COMMAND..."""
    options = _parser().parse_args(words)
    container = arguments.find(common, options.id)
    process = _process(container, options)
    attach = not options.detach and not options.console_socket
    joined = executing.execute(
        container,
        process,
        executing.Options(
            console_socket=options.console_socket,
            pid_file=options.pid_file,
            pidfd_socket=options.pidfd_socket,
            preserve_fds=options.preserve_fds,
            ignore_paused=options.ignore_paused,
            cgroup=options.cgroup,
        ),
    )
    if options.detach:
        return 0
    return foreground.wait(joined.pidfd, joined.console_fd if attach else None)


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("exec", "Run another process in a container.")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="unless --process has it")
    parser.add_argument("-p", "--process", default="", metavar="FILE", help="a document with the process")
    parser.add_argument("-d", "--detach", action="store_true", help="do not wait for it")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    parser.add_argument("--console-socket", default="", metavar="PATH", help="gets the terminal's master")
    parser.add_argument("--pid-file", default="", metavar="FILE", help="gets the pid")
    parser.add_argument("--pidfd-socket", default="", metavar="PATH", help="gets the pidfd")
    parser.add_argument("-u", "--user", default="", metavar="UID[:GID]", help="numbers")
    parser.add_argument("-g", "--additional-gids", action="append", type=int, default=[], metavar="GID")
    parser.add_argument("--cwd", default="", metavar="DIR", help="where it starts")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="K=V")
    parser.add_argument("-c", "--cap", action="append", default=[], metavar="CAP_NAME", help="a capability more")
    parser.add_argument("--apparmor", default="", metavar="PROFILE")
    parser.add_argument("--process-label", default="", metavar="LABEL", help="of SELinux")
    parser.add_argument("--no-new-privs", action="store_true", help="let nothing give it more privileges")
    parser.add_argument("--preserve-fds", type=int, default=0, metavar="N", help="pass descriptors 3 to N+2 on")
    parser.add_argument("--cgroup", default="", metavar="PATH", help="below the container's own")
    parser.add_argument("--ignore-paused", action="store_true", help="also when the container is paused")
    return parser


def _process(container: Container, options: argparse.Namespace) -> Process:
    if options.process:
        try:
            process = decode_process(Path(options.process).read_bytes())
        except FileNotFoundError:
            raise NotFound(f"no such file: {options.process}") from None
        return msgspec.structs.replace(process, terminal=process.terminal or options.tty)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise InvalidArgument("exec: no command, and no --process")
    process = _changed(container.spec.process or Process(cwd="/"), options, tuple(command))
    rules.check(process)
    return process


def _changed(base: Process, options: argparse.Namespace, command: tuple[str, ...]) -> Process:
    """The container's own process, with what the command line says otherwise."""
    return msgspec.structs.replace(
        base,
        args=command,
        terminal=options.tty,
        cwd=options.cwd or base.cwd,
        env=(*base.env, *options.env),
        user=_user(base.user, options),
        capabilities=_capabilities(base.capabilities, options.cap),
        no_new_privileges=base.no_new_privileges or options.no_new_privs,
        apparmor_profile=options.apparmor or base.apparmor_profile,
        selinux_label=options.process_label or base.selinux_label,
        oom_score_adj=None,
    )


def _user(base: User, options: argparse.Namespace) -> User:
    gids = (*base.additional_gids, *options.additional_gids)
    if not options.user:
        return msgspec.structs.replace(base, additional_gids=gids)
    uid, colon, gid = options.user.partition(":")
    if not uid.isdigit() or (colon and not gid.isdigit()):
        raise InvalidArgument(f"--user: {options.user!r} is not UID[:GID]")
    return msgspec.structs.replace(base, uid=int(uid), gid=int(gid or base.gid), additional_gids=gids)


def _capabilities(base: Capabilities | None, more: Sequence[str]) -> Capabilities | None:
    if base is None or not more:
        return base
    return msgspec.structs.replace(
        base,
        bounding=(*base.bounding, *more),
        effective=(*base.effective, *more),
        permitted=(*base.permitted, *more),
    )
