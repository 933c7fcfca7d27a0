"""config.json to a Spec and back. What cannot be honoured is refused by name, never passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_run.spec import validate
from aethel_run.spec.config import Spec
from aethel_run.spec.process import Process
from aethel_run.spec.resources import Resources
from aethel_run.spec.rules import process as of_process

_NOT_BUILT: Final = ("linux.intelRdt",)
"""Fields of the specification whose effect this runtime does not have yet."""

_decode = msgspec.json.Decoder(Spec).decode
_decode_process = msgspec.json.Decoder(Process).decode
_decode_resources = msgspec.json.Decoder(Resources).decode
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


def decode_process(document: bytes) -> Process:
    """Read and check a document with a process alone, for exec. Raises InvalidSpec with the JSON path."""
    try:
        process = _decode_process(document)
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"process: {error}") from error
    of_process.check(process)
    return process


def decode_resources(document: bytes) -> Resources:
    """Read `linux.resources` alone, for update. Raises InvalidSpec with the JSON path."""
    try:
        return _decode_resources(document)
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"resources: {error}") from error


def encode(spec: Spec) -> bytes:
    """The document of a Spec; what is at its default is left out."""
    return _encode(spec)


def _refuse_unbuilt(document: object) -> None:
    for path in _NOT_BUILT:
        value = document
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value:
            raise Unsupported(f"config.json: {path} is set, and this runtime does not have it")
