"""What a caller gets who may not use the daemon: the same answer to every call.

A connection that is merely closed would look like a daemon that died.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from aethel_common.errors import NotPermitted
from aethel_common.rpc.endpoint import server_options
from aethel_d.api.boundary import rpc


def server(address: str, group: str) -> grpc.Server:
    """A server of that alone, which listens at `address`; not started yet."""
    made = grpc.server(
        ThreadPoolExecutor(max_workers=2, thread_name_prefix="refusal"),
        handlers=[_Refusal(group)],
        options=server_options(),
        maximum_concurrent_rpcs=16,
    )
    made.add_insecure_port(address)
    return made


class _Refusal(grpc.GenericRpcHandler):
    def __init__(self, group: str) -> None:
        self._group = group

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of every method there may be; whatever is sent, nothing of it is read."""
        return grpc.stream_unary_rpc_method_handler(self._refuse)

    @rpc
    def _refuse(self, requests: object, context: grpc.ServicerContext) -> bytes:
        raise NotPermitted("you may not use this daemon", hint=f"run as root, or join the group {self._group}")
