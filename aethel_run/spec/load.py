"""config.json to a Spec and back."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from aethel_common.errors import InvalidSpec
from aethel_run.spec import validate
from aethel_run.spec.config import Spec
from aethel_run.spec.process import Process
from aethel_run.spec.resources import Resources
from aethel_run.spec.rules import process as of_process

T = TypeVar("T")

_SPEC: Final = msgspec.json.Decoder(Spec)
_PROCESS: Final = msgspec.json.Decoder(Process)
_RESOURCES: Final = msgspec.json.Decoder(Resources)
_encode = msgspec.json.Encoder().encode


def decode(document: bytes) -> Spec:
    """Read and check a document. Raises InvalidSpec with the JSON path."""
    spec = _decoded(_SPEC, document, "config.json")
    validate.check(spec)
    return spec


def decode_process(document: bytes) -> Process:
    """Read and check a document with a process alone, for exec. Raises InvalidSpec with the JSON path."""
    process = _decoded(_PROCESS, document, "process")
    of_process.check(process)
    return process


def decode_resources(document: bytes) -> Resources:
    """Read `linux.resources` alone, for update. Raises InvalidSpec with the JSON path."""
    return _decoded(_RESOURCES, document, "resources")


def _decoded(decoder: msgspec.json.Decoder[T], document: bytes, what: str) -> T:
    try:
        return decoder.decode(document)
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"{what}: {error}") from error


def encode(spec: Spec) -> bytes:
    """The document of a Spec; what is at its default is left out."""
    return _encode(spec)
