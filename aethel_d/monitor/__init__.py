"""One small process per container: it holds the streams, writes the log and the exit status, and outlives the daemon.

No gRPC, no thread, one epoll loop. Called a shim elsewhere. Read `main` first.

- `main`: a monitor's life, top to bottom
- `creator`: its child, which makes the container and ends; `handover`: what the monitor gets from it
- `protocol`: what the daemon says to a creator and to a monitor, and they to it
- `rootfs`: the container's root, an overlay of idmapped layers
- `users`: `USER app:www` to numbers, from the image's own files
- `streams`, `logfile`, `clients`: bytes out of the container, into the log and to whoever is attached
- `border`: how a failure is told
- `client`: the daemon's end of the conversation
"""
