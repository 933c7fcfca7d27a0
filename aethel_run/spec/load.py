"""config.json to a Spec and back. What cannot be honoured is refused by name, never passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_run.spec import validate
from aethel_run.spec.config import Spec

NOT_BUILT: Final = (
    "hooks",
    "mounts[].gidMappings",
    "mounts[].uidMappings",
    "process.apparmorProfile",
    "process.execCPUAffinity",
    "process.ioPriority",
    "process.scheduler",
    "process.selinuxLabel",
    "linux.devices",
    "linux.intelRdt",
    "linux.memoryPolicy",
    "linux.mountLabel",
    "linux.namespaces[].path",
    "linux.netDevices",
    "linux.personality",
    "linux.resources",
    "linux.seccomp",
    "linux.timeOffsets",
)
"""Fields of the specification whose effect this runtime does not have; `[]` stands for every item of a list."""

_decode = msgspec.json.Decoder(Spec).decode
_encode = msgspec.json.Encoder().encode


def decode(document: bytes) -> Spec:
    """Read and check a document. Raises InvalidSpec with the JSON path, Unsupported naming the field."""
    try:
        spec = _decode(document)
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"config.json: {error}") from error
    _refuse_unbuilt(msgspec.json.decode(document))
    validate.check(spec)
    return spec


def encode(spec: Spec) -> bytes:
    """The document of a Spec; what is at its default is left out."""
    return _encode(spec)


def encode_for_people(spec: Spec) -> bytes:
    """The same with line breaks, to be read and edited."""
    return msgspec.json.format(_encode(spec), indent=2) + b"\n"


def _refuse_unbuilt(document: object) -> None:
    for pattern in NOT_BUILT:
        for path, value in _find(document, pattern.split("."), ""):
            if _is_set(value):
                raise Unsupported(f"config.json: {path}: not supported by this version")


def _find(value: object, keys: Sequence[str], path: str) -> Iterator[tuple[str, object]]:
    """Every value that the pattern names, with its own path."""
    if not keys:
        yield path, value
        return
    key = keys[0].removesuffix("[]")
    below = value.get(key) if isinstance(value, Mapping) else None
    path = f"{path}.{key}" if path else key
    if keys[0].endswith("[]"):
        for index, item in enumerate(below if isinstance(below, list) else ()):
            yield from _find(item, keys[1:], f"{path}[{index}]")
    else:
        yield from _find(below, keys[1:], path)


def _is_set(value: object) -> bool:
    """Whether it asks for anything: `null`, `false`, "" and containers of nothing else do not; a zero does."""
    if isinstance(value, Mapping):
        return any(_is_set(item) for item in value.values())
    if isinstance(value, list):
        return any(_is_set(item) for item in value)
    return value is not None and value is not False and value != ""
