"""config.json to a Spec and back."""

from __future__ import annotations

import msgspec

from aethel_common.errors import InvalidSpec
from aethel_run.spec import validate
from aethel_run.spec.config import Spec
from aethel_run.spec.process import Process
from aethel_run.spec.resources import Resources
from aethel_run.spec.rules import process as of_process

_decode = msgspec.json.Decoder(Spec).decode
_decode_process = msgspec.json.Decoder(Process).decode
_decode_resources = msgspec.json.Decoder(Resources).decode
_encode = msgspec.json.Encoder().encode


def decode(document: bytes) -> Spec:
    """Read and check a document. Raises InvalidSpec with the JSON path."""
    try:
        spec = _decode(document)
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"config.json: {error}") from error
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
