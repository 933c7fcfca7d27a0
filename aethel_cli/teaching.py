"""What `--explain` and `--without` (`options.teaching`) need besides: a grammar, the story shown, a warning."""

from __future__ import annotations

from collections.abc import Callable

import click

from aethel_cli.client import Daemon, pb


class ExplainedCommand(click.Command):
    """A command whose `--explain` may be given a value (`--explain=json`) and never takes the next word for it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _valued(args, self._takes_value))

    def _takes_value(self, word: str) -> bool:
        """Whether the word after this one is its value."""
        names = {name: option for option in self.params if isinstance(option, click.Option) for name in option.opts}
        if word.startswith("--"):
            return word in names and not names[word].is_flag
        for at, letter in enumerate(word[1:], start=2):
            option = names.get(f"-{letter}")
            if option is not None and not option.is_flag:
                return at == len(word)  # what is left of the word would be the value
        return False


def _valued(args: list[str], takes_value: Callable[[str], bool]) -> list[str]:
    """With `--explain` as `--explain=text`, among the options; what follows the image is the container's."""
    done: list[str] = []
    left = list(args)
    while left and left[0].startswith("-") and left[0] not in ("-", "--"):
        word = left.pop(0)
        done.append("--explain=text" if word == "--explain" else word)
        if left and word != "--explain" and takes_value(word):
            done.append(left.pop(0))
    return done + left


def show(daemon: Daemon, container_id: str, form: str) -> None:
    """The story of a container's newest start, on stderr."""
    request = pb.ExplainRequest(container_id=container_id, json=form == "json")
    for response in daemon.stub.ExplainContainer(request):
        click.echo(response.text, nl=False, err=True)


def warn(without: tuple[str, ...]) -> None:
    """Loudly."""
    for step in without:
        click.echo(f"aethel: WARNING: the container runs WITHOUT {step}", err=True)
