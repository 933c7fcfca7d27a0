"""Parsers of the verbs: what they share."""

from __future__ import annotations

import argparse

from aethel_run.cli.main import Globals
from aethel_run.state import Container, Store


def parser(verb: str, description: str, *, container: bool = True) -> argparse.ArgumentParser:
    """One verb's parser, with the container's id as its first argument."""
    made = argparse.ArgumentParser(prog=f"aethel-run {verb}", description=description, allow_abbrev=False)
    if container:
        made.add_argument("id", metavar="ID")
    return made


def find(common: Globals, container_id: str) -> Container:
    """The container of that id. Raises NotFound, InvalidArgument."""
    return Store(common.root).get(container_id)
