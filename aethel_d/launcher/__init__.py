"""The launcher: a small spawned process without gRPC or threads, so that forking a monitor is safe and quick.

- `main`: the process itself: receive, fork, again
- `client`: the daemon's end; replaces a launcher that died
"""
