"""gRPC in, one verb of the engine, gRPC out.

- `boundary`: errors to statuses, and the budget of streams
- `messages`: protobuf to the engine's words and back: the only place that names both
- `service`: the calls
- `refusal`: the answer to who may not call
"""
