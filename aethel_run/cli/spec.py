"""spec: write a config.json to start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from aethel_common.errors import AlreadyExists
from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.spec.load import encode
from aethel_run.spec.template import default_spec, rootless_spec


def spec(common: Globals, words: Sequence[str]) -> int:
    """spec"""
    parser = arguments.parser("spec", "Write a config.json to start from.", container=False)
    parser.add_argument("-b", "--bundle", default=".", metavar="DIR", help="where; this directory")
    parser.add_argument("--rootless", action="store_true", help="for a user without privilege")
    options = parser.parse_args(words)
    path = Path(options.bundle) / "config.json"
    document = encode(rootless_spec() if options.rootless else default_spec())
    try:
        with open(path, "xb") as file:
            file.write(msgspec.json.format(document, indent=4) + b"\n")
    except FileExistsError:
        raise AlreadyExists(f"{path} is there already") from None
    return 0
