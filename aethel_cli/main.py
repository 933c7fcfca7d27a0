"""`aethel`: the root group. Imports a command's module only when that command is used."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from aethel_cli.render import complain
from aethel_common.address import DEFAULT_SOCKET
from aethel_common.errors import AethelError, from_os

_COMMANDS: Final = {
    "attach": ("run", "Attach to a running container."),
    "create": ("run", "Make a container without starting it."),
    "explain": ("explain", "Tell how a container was made, step by step."),
    "image": ("images", "Images: list them, build those that ship as recipes."),
    "images": ("images", "List images."),
    "info": ("system", "Show the daemon, its paths and what its kernel can do."),
    "inspect": ("look", "Show everything about containers, as JSON."),
    "kill": ("stop", "Send a signal to containers (KILL unless told otherwise)."),
    "logs": ("look", "Show what a container wrote."),
    "ps": ("look", "List containers."),
    "rm": ("stop", "Remove containers."),
    "run": ("run", "Run a command in a new container."),
    "start": ("run", "Start containers that were created or have stopped."),
    "stop": ("stop", "Stop containers: their stop signal, then SIGKILL after a time."),
    "version": ("system", "Show the versions of both ends."),
    "wait": ("stop", "Wait until containers have stopped, and print their exit codes."),
}
RUNS_A_PROGRAM: Final = ("run", "create", "start", "attach")
"""Their exit code may be a program's, so ours is 125."""


class AethelGroup(click.Group):
    """Loads lazily, and ends every failure the same way: one line, and the code of the error's class."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        # Importing gRPC makes many objects and no garbage: looking for some would take 5 ms.
        gc.disable()
        module = importlib.import_module(f"aethel_cli.commands.{_COMMANDS[cmd_name][0]}")
        gc.freeze()
        gc.enable()
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(cls=AethelGroup, context_settings={"help_option_names": ["--help"], "max_content_width": 110})
@click.option(
    "-H",
    "--host",
    envvar="AETHEL_HOST",
    default=DEFAULT_SOCKET,
    show_default=True,
    help="The daemon's socket: a path, or unix:///path.",
)
@click.version_option(package_name="aethelred", prog_name="aethel")
@click.pass_context
def aethel(ctx: click.Context, host: str) -> None:
    """Run containers, and see how they work.

    \b
    aethel run demo-alpine                  a shell in a new container
    aethel run --rm demo-alpine uname -a    one command, and nothing left
    aethel ps -a                            what there is
    """
    ctx.obj = host.removeprefix("unix://")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; does not return."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = _run(words)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = 141
    except OSError as error:
        if code == 0:  # otherwise it has been told
            complain(from_os(error, "write to stdout"))
            code = 125 if _command_of(words) in RUNS_A_PROGRAM else 1
    sys.stderr.flush()
    # gRPC takes some 10 ms to take itself apart; there is nothing left to be taken apart for.
    os._exit(code)


def _run(arguments: list[str]) -> int:
    runs = _command_of(arguments) in RUNS_A_PROGRAM
    try:
        result = aethel.main(arguments, prog_name="aethel", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        where = f"; see `{error.ctx.command_path} --help`" if error.ctx is not None else ""
        complain(f"{error.format_message().rstrip('.')}{where}")
        return 125 if runs else 2
    except click.ClickException as error:
        complain(error.format_message())
        return 125 if runs else error.exit_code
    except AethelError as error:
        complain(error)
        return error.run_exit_code if runs and error.exit_code != 125 else error.exit_code
    except BrokenPipeError:
        return 141
    except OSError as error:
        complain(from_os(error, _command_of(arguments)))
        return 125 if runs else 1
    except (click.Abort, KeyboardInterrupt):
        return 130


def _command_of(arguments: list[str]) -> str:
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("-H", "--host"):
            skip = True
        elif not argument.startswith("-"):
            return argument
    return ""
