"""The daemon's socket as gRPC sees it: limits and options of both ends in one place."""

from __future__ import annotations

import grpc

API_VERSION = "1"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # The HTTP/2 authority of a Unix socket would otherwise be its percent-encoded path, which some servers refuse.
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_retries", 0),
]


def channel(socket: str) -> grpc.Channel:
    """A channel to the daemon; connects when first used."""
    return grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS)


def server_options() -> list[tuple[str, int]]:
    """What the daemon's grpc.Server is made with."""
    return [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),
    ]
