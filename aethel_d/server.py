"""Build the engine, serve it, and stop without losing a caller."""

from __future__ import annotations

import logging
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aethel_common.rpc import aethel_pb2
from aethel_common.rpc.aethel_pb2_grpc import add_AethelServiceServicer_to_server
from aethel_common.rpc.endpoint import server_options
from aethel_d import front, systemd
from aethel_d.api import refusal
from aethel_d.api.boundary import WORKERS
from aethel_d.api.service import Service
from aethel_d.config import DaemonConfig
from aethel_d.engine import recover
from aethel_d.engine.assemble import assemble, take_apart
from aethel_d.engine.context import Engine

log = logging.getLogger(__name__)

_NAME = aethel_pb2.DESCRIPTOR.services_by_name["AethelService"].full_name
_DRAIN_SECONDS = 3.0


def serve(config: DaemonConfig) -> None:
    """Serve until SIGTERM or SIGINT. Containers go on running. Raises AethelError, OSError when it cannot begin."""
    signals = _blocked_signals()
    passed = systemd.passed_socket()
    listener = passed or front.listen(config.layout.socket, config.socket_group)
    try:
        engine, watcher = assemble(config)
        recover.recover(engine)
        _serve(engine, listener, signals)
        take_apart(engine, watcher)
    finally:
        listener.close()
        if passed is None:
            config.layout.socket.unlink(missing_ok=True)
    log.info("stopped; containers go on")


def _blocked_signals() -> set[signal.Signals]:
    """Blocked before any thread is made, so that `sigwait` below is the only one to see them."""
    wanted = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    return wanted


def _serve(engine: Engine, listener: socket.socket, signals: set[signal.Signals]) -> None:
    path = engine.layout.grpc
    path.mkdir(mode=0o700, exist_ok=True)
    upstream, refuse = path / "s", path / "refusal"
    for stale in (upstream, refuse):
        stale.unlink(missing_ok=True)
    group = engine.config.socket_group
    server = _server(engine)
    server.add_insecure_port(f"unix:{upstream}")
    server.start()
    refusing = refusal.server(f"unix:{refuse}", group)
    refusing.start()
    entrance = front.Front(listener, upstream=str(upstream), refusal=str(refuse), group=group)
    entrance.start()
    log.info("serving on %s", engine.layout.socket)
    systemd.notify("READY=1")
    received = signal.sigwait(signals)
    log.info("%s: stopping", signal.Signals(received).name)
    systemd.notify("STOPPING=1")
    entrance.stop_accepting()
    refusing.stop(None)
    server.stop(_DRAIN_SECONDS).wait()
    entrance.close()


def _server(engine: Engine) -> grpc.Server:
    pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="rpc")
    server = grpc.server(pool, options=server_options())
    add_AethelServiceServicer_to_server(Service(engine), server)  # type: ignore[no-untyped-call]
    state = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    for name in ("", _NAME):
        state.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection((_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server
