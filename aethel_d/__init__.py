"""The daemon, its launcher and its monitors. Data flows down this list:

- `front`: owns the listening socket, knows who calls, passes the bytes on (`splice`)
- `api`: gRPC in, one verb of the engine, gRPC out
- `engine`: what the product can do, one file per verb; the only place where storage, network and processes meet
- `launcher`: a small process that forks monitors
- `monitor`: one small process per container; outlives the daemon
"""
