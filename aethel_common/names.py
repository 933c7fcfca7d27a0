"""Container ids and names: make, check, shorten, and find by prefix."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable

from aethel_common.errors import InvalidArgument, NotFound

SHORT_ID_LENGTH = 12
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
_HEX = re.compile(r"[0-9a-f]{1,64}")

_QUALITIES = (
    "able amber apt brave brisk calm civil clear deft eager early fair fleet fond frank free gentle glad golden grand "
    "hale honest humble jolly just keen kind lively loyal lucid mellow merry mild modest neat noble patient plain "
    "proud quick quiet ready robust sage serene sharp silent sound spry stout sunny sure swift tidy true vivid warm "
    "wise witty"
).split()
_SAXONS = (
    "aelfric aethelbald aethelberht aethelflaed aethelred aethelstan aethelwulf alcuin aldhelm alfred asser bede boniface "
    "caedmon cerdic ceolwulf cnut cuthbert cynewulf dunstan eadburh eadgar eadgyth eadmund eadred eadwig "
    "eadwine ecgberht edith emma godiva godwin guthlac harold hereward hild hengist horsa ine leofric mildthryth offa "
    "osric oswald oswin penda raedwald sigeberht swithun tostig wiglaf wulfhere wulfstan"
).split()


def new_id() -> str:
    """A container id: 64 hexadecimal characters."""
    return os.urandom(32).hex()


def short(container_id: str) -> str:
    """The first 12 characters, as people see an id."""
    return container_id[:SHORT_ID_LENGTH]


def made_up(taken: Iterable[str]) -> str:
    """A name such as `brave_wulfstan` that is not among `taken`."""
    import secrets  # by the daemon only: a command, which checks names, need not load all of hashlib

    used = set(taken)
    while True:
        name = f"{secrets.choice(_QUALITIES)}_{secrets.choice(_SAXONS)}"
        if name not in used:
            return name
        name = f"{name}_{secrets.token_hex(2)}"
        if name not in used:
            return name


def check(name: str) -> str:
    """Return `name`, or raise InvalidArgument: 2 to 128 of letters, digits, `_ . -`, the first a letter or digit."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"bad container name {name!r}",
            hint="2 to 128 of a-z A-Z 0-9 _ . - and the first a letter or digit",
        )
    return name


def find(wanted: str, named: Iterable[tuple[str, str]]) -> str:
    """The id of the container that `wanted` means: a full id, a name, or an id's beginning, in this order.

    `named` gives (id, name) pairs. Raises NotFound, or InvalidArgument when a prefix fits several.
    """
    pairs = list(named)
    for container_id, name in pairs:
        if wanted in (container_id, name):
            return container_id
    fitting = [i for i, _ in pairs if i.startswith(wanted)] if _HEX.fullmatch(wanted) else []
    if len(fitting) > 1:
        some = ", ".join(short(i) for i in sorted(fitting)[:5])
        raise InvalidArgument(f"ambiguous container id {wanted!r}: it fits {some}", hint="give more of the id")
    if not fitting:
        raise NotFound(f"no such container: {wanted}", hint="`aethel ps -a` lists them")
    return fitting[0]


def signal_number(text: str) -> int:
    """The number of a signal given as `TERM`, `SIGTERM`, `sigterm` or `15`; raises InvalidArgument."""
    if text.isascii() and text.isdigit() and 0 < int(text) < signal.NSIG:
        return int(text)
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name.startswith("SIG_"):
        raise InvalidArgument(f"no such signal: {text!r}")
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise InvalidArgument(f"no such signal: {text!r}") from None
