"""A client written against the original four calls, and nothing else, works; health and reflection are served."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.harness.daemon import Daemon
from tests.harness.host import patience

FIELDS = {
    "CreateContainerRequest": ("image_name", "command", "args*"),
    "CreateContainerResponse": ("container_id", "ip_address"),
    "Empty": (),
    "ContainerInfo": ("id", "image", "status", "ip_address"),
    "StopRequest": ("container_id",),
    "StopResponse": ("success?",),
    "LogsRequest": ("container_id",),
    "LogEntry": ("entry",),
}


class Original:
    """The four calls, from a description of our own: the daemon's stubs have no part in it."""

    def __init__(self, socket: str) -> None:
        file = descriptor_pb2.FileDescriptorProto(name="original.proto", package="aethel", syntax="proto3")
        kinds = descriptor_pb2.FieldDescriptorProto
        for name, fields in FIELDS.items():
            message = file.message_type.add(name=name)
            for number, field in enumerate(fields, start=1):
                label = kinds.LABEL_REPEATED if field.endswith("*") else kinds.LABEL_OPTIONAL
                kind = kinds.TYPE_BOOL if field.endswith("?") else kinds.TYPE_STRING
                message.field.add(name=field.rstrip("*?"), number=number, label=label, type=kind)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self.messages = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"aethel.{name}")) for name in FIELDS
        }
        self.channel = grpc.insecure_channel(f"unix:{socket}")

    def call(self, name: str, request: str, response: str, **fields: object) -> Message:
        method = self.channel.unary_unary(
            f"/aethel.AethelService/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.messages[response].FromString,
        )
        return method(self.messages[request](**fields), timeout=patience(60))

    def stream(self, name: str, request: str, response: str, **fields: object) -> Iterator[Message]:
        method = self.channel.unary_stream(
            f"/aethel.AethelService/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.messages[response].FromString,
        )
        yield from method(self.messages[request](**fields), timeout=patience(60))


@pytest.fixture
def original(daemon: Daemon) -> Iterator[Original]:
    client = Original(str(daemon.socket))
    yield client
    client.channel.close()


def test_the_original_calls(daemon: Daemon, original: Original) -> None:
    create = ("CreateContainer", "CreateContainerRequest", "CreateContainerResponse")
    script = "echo one; echo two; sleep 100"
    created = original.call(*create, image_name="demo-alpine", command="sh", args=["-c", script])
    assert created.ip_address.startswith(daemon.subnet.rpartition(".")[0])
    (listed,) = original.stream("ListContainers", "Empty", "ContainerInfo")
    assert (listed.id, listed.image, listed.status) == (created.container_id, "demo-alpine", "running")
    assert listed.ip_address == created.ip_address
    daemon.aethel("stop", "-t", "0", created.container_id)
    assert original.call("StopContainer", "StopRequest", "StopResponse", container_id=created.container_id).success
    entries = original.stream("StreamLogs", "LogsRequest", "LogEntry", container_id=created.container_id)
    assert [each.entry for each in entries] == ["one", "two"]
    assert daemon.aethel("rm", created.container_id).code == 0


def test_what_did_not_start_was_not_created(daemon: Daemon, original: Original) -> None:
    create = ("CreateContainer", "CreateContainerRequest", "CreateContainerResponse")
    with pytest.raises(grpc.RpcError) as failure:
        original.call(*create, image_name="demo-alpine", command="no-such-command")
    assert failure.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert list(original.stream("ListContainers", "Empty", "ContainerInfo")) == []
    assert daemon.aethel("ps", "-aq").out == ""


def test_health_and_reflection(original: Original) -> None:
    health = health_pb2_grpc.HealthStub(original.channel)
    for service in ("", "aethel.AethelService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=patience(10))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(original.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection.ServerReflectionInfo(iter([request]), timeout=patience(10))
    assert "aethel.AethelService" in {each.name for each in answer.list_services_response.service}
