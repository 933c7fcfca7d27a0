"""The wire: generated stubs (`aethel_pb2*`), errors as gRPC statuses (`status`), the socket (`endpoint`).

Only this room, the daemon's api and server, and the CLI's client name gRPC.
"""
