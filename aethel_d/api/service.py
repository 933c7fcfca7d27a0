"""The calls of AethelService: unpack, call one verb, pack."""

from __future__ import annotations

import os
import platform
import queue
import threading
from collections.abc import Iterator
from importlib.metadata import version

import grpc

from aethel_common import names
from aethel_common.errors import AethelError, InvalidArgument
from aethel_common.rpc import aethel_pb2 as pb
from aethel_common.rpc.aethel_pb2_grpc import AethelServiceServicer
from aethel_common.rpc.endpoint import API_VERSION
from aethel_d.api import messages
from aethel_d.api.boundary import rpc, stream, waiting
from aethel_d.engine import attach, create, explain, images, info, logs, look, remove, start, stop, wait
from aethel_d.engine.attach import Attachment, Chunk
from aethel_d.engine.cancel import Cancel
from aethel_d.engine.context import Engine
from aethel_d.engine.model import LogLine


class Service(AethelServiceServicer):
    """Every call, in the proto's order."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @rpc
    def CreateContainer(
        self, request: pb.CreateContainerRequest, context: grpc.ServicerContext
    ) -> pb.CreateContainerResponse:
        view = create.create(self._engine, messages.config(request))
        container_id = view.container.id
        if not request.create_only:
            try:
                view = start.start(self._engine, container_id)
            except BaseException:
                # Create and start is one promise: a container that did not start was not created either.
                remove.remove(self._engine, container_id, force=True)
                raise
        address = view.address.ip_address if view.address else ""
        return pb.CreateContainerResponse(container_id=container_id, ip_address=address, name=view.container.name)

    @stream
    def ListContainers(self, request: pb.Empty, context: grpc.ServicerContext) -> Iterator[pb.ContainerInfo]:
        for view in look.views(self._engine):
            yield messages.info(view)

    @waiting
    def StopContainer(self, request: pb.StopRequest, context: grpc.ServicerContext) -> pb.StopResponse:
        timeout = request.timeout_seconds if request.HasField("timeout_seconds") else None
        stop.stop(self._engine, request.container_id, timeout, request.signal)
        return pb.StopResponse(success=True)

    @stream
    def StreamLogs(self, request: pb.LogsRequest, context: grpc.ServicerContext) -> Iterator[pb.LogEntry]:
        tail = request.tail if request.HasField("tail") and request.tail >= 0 else None
        cancel = _cancel_of(context)
        found = logs.lines(self._engine, request.container_id, follow=request.follow, tail=tail, cancel=cancel)
        try:
            if request.raw:
                yield from map(messages.log_entry, found)
            else:
                yield from _entries(found)
        finally:
            cancel.close()

    @rpc
    def StartContainer(self, request: pb.StartRequest, context: grpc.ServicerContext) -> pb.StartResponse:
        view = start.start(self._engine, request.container_id)
        address = view.address.ip_address if view.address else ""
        story = _story(view.story, request.explain)
        return pb.StartResponse(container_id=view.container.id, ip_address=address, story=story)

    @rpc
    def InspectContainer(self, request: pb.InspectRequest, context: grpc.ServicerContext) -> pb.ContainerDetail:
        return messages.detail(look.view(self._engine, request.container_id))

    @stream
    def AttachContainer(
        self, requests: Iterator[pb.AttachRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.AttachResponse]:
        first = next(requests, None)
        if first is None or first.WhichOneof("kind") != "open":
            raise InvalidArgument("the first message of an attach is `open`")
        attachment = _open(self._engine, first.open)
        if first.open.explain and attachment.story:
            yield pb.AttachResponse(story=_story(attachment.story, first.open.explain))
        yield from _attached(attachment, requests, context)

    @waiting
    def WaitContainer(self, request: pb.WaitRequest, context: grpc.ServicerContext) -> pb.ContainerExit:
        cancel = _cancel_of(context)
        try:
            return messages.end(wait.wait(self._engine, request.container_id, cancel))
        finally:
            cancel.close()

    @rpc
    def KillContainer(self, request: pb.KillRequest, context: grpc.ServicerContext) -> pb.KillResponse:
        stop.kill(self._engine, request.container_id, request.signal)
        return pb.KillResponse()

    @rpc
    def RemoveContainer(self, request: pb.RemoveRequest, context: grpc.ServicerContext) -> pb.RemoveResponse:
        return pb.RemoveResponse(container_id=remove.remove(self._engine, request.container_id, force=request.force))

    @stream
    def ExplainContainer(
        self, request: pb.ExplainRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExplainResponse]:
        if request.WhichOneof("what") == "container":
            text = explain.planned(self._engine, messages.config(request.container), json=request.json)
            yield pb.ExplainResponse(text=text)
            return
        for text in explain.told(self._engine, request.container_id, json=request.json):
            yield pb.ExplainResponse(text=text)

    @rpc
    def ListImages(self, request: pb.ListImagesRequest, context: grpc.ServicerContext) -> pb.ListImagesResponse:
        return pb.ListImagesResponse(
            images=[messages.image(each) for each in images.list_images(self._engine)],
            buildable=images.buildable(self._engine),
        )

    @stream
    def BuildImage(self, request: pb.BuildImageRequest, context: grpc.ServicerContext) -> Iterator[pb.BuildProgress]:
        yield from _built(self._engine, request.name)

    @rpc
    def GetVersion(self, request: pb.VersionRequest, context: grpc.ServicerContext) -> pb.VersionResponse:
        host = os.uname()
        return pb.VersionResponse(
            version=version("aethelred"),
            api_version=API_VERSION,
            python_version=platform.python_version(),
            kernel_version=host.release,
            os="linux",
            arch=host.machine,
        )

    @rpc
    def GetInfo(self, request: pb.InfoRequest, context: grpc.ServicerContext) -> pb.InfoResponse:
        found, config = info.info(self._engine), self._engine.config
        return pb.InfoResponse(
            version=version("aethelred"),
            daemon_pid=os.getpid(),
            launcher_pid=found.launcher_pid,
            state_root=config.state_root,
            run_root=config.run_root,
            cache_root=config.cache_root,
            socket=config.socket,
            cgroup_root=found.cgroup_root,
            kernel_version=os.uname().release,
            containers=found.containers,
            containers_running=found.running,
            images=found.images,
            features=messages.features(found),
            warnings=found.warnings,
            bridge=config.bridge,
            subnet=config.subnet,
        )


def _cancel_of(context: grpc.ServicerContext) -> Cancel:
    cancel = Cancel()
    if not context.add_callback(cancel.set):
        cancel.set()  # the client has gone already
    return cancel


def _entries(found: Iterator[LogLine]) -> Iterator[pb.LogEntry]:
    """Whole lines of text, for clients of the original call; pieces of a line are joined, stream by stream."""
    rest = {False: b"", True: b""}
    for line in found:
        rest[line.is_stderr] += line.data
        if line.data.endswith(b"\n"):
            yield pb.LogEntry(entry=rest[line.is_stderr][:-1].decode(errors="replace"))
            rest[line.is_stderr] = b""
    for data in rest.values():
        if data:
            yield pb.LogEntry(entry=data.decode(errors="replace"))


def _story(lines: bytes, form: str) -> str:
    return "".join(explain.rendered(lines.splitlines(), form)) if lines and form else ""


def _open(engine: Engine, request: pb.AttachOpen) -> Attachment:
    size = messages.window(request.size) if request.HasField("size") else None
    return attach.attach(
        engine,
        request.container_id,
        start=request.start,
        stdin=request.stdin,
        stdout=request.stdout,
        stderr=request.stderr,
        size=size,
    )


def _attached(
    attachment: Attachment, requests: Iterator[pb.AttachRequest], context: grpc.ServicerContext
) -> Iterator[pb.AttachResponse]:
    context.add_callback(attachment.detach)
    reader = threading.Thread(target=_take, args=(attachment, requests), name="attach-in", daemon=True)
    reader.start()
    try:
        yield pb.AttachResponse(started=pb.Empty())
        for item in attachment.output():
            if not isinstance(item, Chunk):
                yield pb.AttachResponse(exit=messages.end(item))
            elif item.is_stderr:
                yield pb.AttachResponse(stderr=item.data)
            else:
                yield pb.AttachResponse(stdout=item.data)
    finally:
        attachment.close()


def _take(attachment: Attachment, requests: Iterator[pb.AttachRequest]) -> None:
    """The client's side of an attach, in a thread of its own; ends with the call."""
    try:
        for request in requests:
            match request.WhichOneof("kind"):
                case "stdin":
                    attachment.write(request.stdin)
                case "close_stdin":
                    attachment.close_stdin()
                case "resize":
                    attachment.resize(messages.window(request.resize))
                case "signal":
                    attachment.signal(names.signal_number(request.signal))
    except (grpc.RpcError, AethelError):
        pass  # the client has gone, or sent nonsense: its output goes on as long as it listens


def _built(engine: Engine, name: str) -> Iterator[pb.BuildProgress]:
    """The build runs in a thread, so that progress is told while it works; it goes on if the client leaves."""
    told: queue.Queue[pb.BuildProgress | Exception] = queue.Queue()

    def progress(stage: str, done: int, total: int) -> None:
        told.put(pb.BuildProgress(stage=stage, done=done, total=total))

    def work() -> None:
        try:
            told.put(pb.BuildProgress(stage="done", image=messages.image(images.build(engine, name, progress))))
        except Exception as error:  # noqa: BLE001 -- raised again in the caller's thread
            told.put(error)

    threading.Thread(target=work, name=f"build-{name}", daemon=True).start()
    while True:
        item = told.get()
        if isinstance(item, Exception):
            raise item
        yield item
        if item.HasField("image"):
            return
