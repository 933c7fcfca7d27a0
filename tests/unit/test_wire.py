"""The wire contract: the four original calls never change, the stubs are fresh, every error crosses whole."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from aethel_common import build_proto, errors
from aethel_common.rpc import aethel_pb2, status

ROOT = Path(__file__).parents[2]

ORIGINAL = {
    "CreateContainer": ("CreateContainerRequest", "CreateContainerResponse", False),
    "ListContainers": ("Empty", "ContainerInfo", True),
    "StopContainer": ("StopRequest", "StopResponse", False),
    "StreamLogs": ("LogsRequest", "LogEntry", True),
}
FIELDS = {
    "CreateContainerRequest": {"image_name": (1, 9, False), "command": (2, 9, False), "args": (3, 9, True)},
    "CreateContainerResponse": {"container_id": (1, 9, False), "ip_address": (2, 9, False)},
    "ContainerInfo": {
        "id": (1, 9, False),
        "image": (2, 9, False),
        "status": (3, 9, False),
        "ip_address": (4, 9, False),
    },
    "StopRequest": {"container_id": (1, 9, False)},
    "StopResponse": {"success": (1, 8, False)},
    "LogsRequest": {"container_id": (1, 9, False)},
    "LogEntry": {"entry": (1, 9, False)},
}


@pytest.mark.parametrize("name", ORIGINAL)
def test_the_original_calls_are_as_they_were(name: str) -> None:
    service = aethel_pb2.DESCRIPTOR.services_by_name["AethelService"]
    assert service.full_name == "aethel.AethelService"
    method = service.methods_by_name[name]
    assert (method.input_type.name, method.output_type.name, method.server_streaming) == ORIGINAL[name]
    assert not method.client_streaming


@pytest.mark.parametrize("message", FIELDS)
def test_the_original_fields_are_as_they_were(message: str) -> None:
    fields = aethel_pb2.DESCRIPTOR.message_types_by_name[message].fields_by_name
    for name, expected in FIELDS[message].items():
        assert (fields[name].number, fields[name].type, fields[name].is_repeated) == expected


def test_the_stubs_are_those_of_the_proto(tmp_path: Path) -> None:
    build_proto.generate(ROOT / "proto", tmp_path)
    for fresh in (tmp_path / "aethel_common" / "rpc").iterdir():
        assert fresh.read_bytes() == (ROOT / "aethel_common" / "rpc" / fresh.name).read_bytes(), "run build-proto"


class _Failure(grpc.RpcError):
    def __init__(self, error: errors.AethelError) -> None:
        self._error = error

    def code(self) -> grpc.StatusCode:
        return status.code_of(self._error)

    def details(self) -> str:
        return self._error.message

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return status.to_metadata(self._error)


@pytest.mark.parametrize("kind", errors.subclasses().values())
def test_every_error_crosses_whole(kind: type[errors.AethelError]) -> None:
    back = status.from_rpc(_Failure(kind("what failed", hint="what to do")))
    assert type(back) is kind
    assert (back.message, back.hint) == ("what failed", "what to do")


def test_a_step_keeps_its_name_and_errno() -> None:
    back = status.from_rpc(_Failure(errors.StepFailed("m", step="pivot_into_rootfs", errno=22)))
    assert isinstance(back, errors.StepFailed)
    assert (back.step, back.errno) == ("pivot_into_rootfs", 22)
