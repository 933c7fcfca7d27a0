"""`aethel-d`: the daemon, in the foreground."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from aethel_common.errors import AethelError, AlreadyExists, NotPermitted, from_os
from aethel_common.layout import Layout
from aethel_d import config as configuration


def main() -> None:
    """Parse, check, lock, serve; every failure is one line and exit status 1."""
    arguments = vars(_parser().parse_args())
    file = arguments.pop("config")
    try:
        try:
            _run(configuration.load(Path(file) if file else None, os.environ, arguments))
        except OSError as error:
            raise from_os(error, "start") from error
    except AethelError as error:
        sys.exit(f"aethel-d: {error}")


def _run(config: configuration.DaemonConfig) -> None:
    if os.geteuid() != 0:
        raise NotPermitted("must run as root: it makes namespaces, mounts and network links", hint="sudo aethel-d")
    os.umask(0o077)
    _log_to_stderr(config.log_level)
    _make_directories(config.layout)
    with _lock(config.layout):
        # The daemon never forks; without this gRPC would still prepare for it. Read when grpc is imported.
        os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
        from aethel_d.server import serve

        serve(config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aethel-d",
        description="The daemon of Aethelred. Runs in the foreground; SIGTERM stops it, and containers go on.",
        epilog=f"Settings are read from {configuration.DEFAULT_FILE}, then AETHEL_<NAME>, then these flags.",
    )
    parser.add_argument("--version", action="version", version=f"aethel-d {version('aethelred')}")
    parser.add_argument("--config", metavar="FILE", help=f"settings; default {configuration.DEFAULT_FILE}")
    helps = {
        "state_root": "images, layers, containers, logs",
        "run_root": "what must not outlive a reboot",
        "cache_root": "fetched sources and built images",
        "socket": "where the API is served",
        "socket_group": "who may use it, besides root",
        "bridge": "name of the bridge",
        "subnet": "addresses of containers",
        "cgroup_parent": "cgroup of all containers, below the cgroup2 mount",
        "id_range_start": "first host id for user namespaces",
        "no_new_privileges": "true: for all containers that do not say otherwise",
        "log_level": "debug, info, warning or error",
    }
    defaults = configuration.DaemonConfig()
    for name, text in helps.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"{text}; default {getattr(defaults, name)}")
    return parser


def _log_to_stderr(level: str) -> None:
    # The journal has its own clock.
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(level=logging.WARNING, format=f"{stamp}aethel-d %(levelname)s %(message)s")
    for package in ("aethel_d", "aethel_net", "aethel_storage"):
        logging.getLogger(package).setLevel(level.upper())


def _make_directories(layout: Layout) -> None:
    for path, mode in ((layout.state, 0o710), (layout.run, 0o711), (layout.cache, 0o755)):
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        path.chmod(mode)


def _lock(layout: Layout) -> BinaryIO:
    """The one daemon of this state directory holds it as long as it lives. man 2 flock"""
    file = open(layout.lock, "a+b")  # noqa: SIM115 -- the caller's `with` closes it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(20).decode().strip() or "?"
        file.close()
        raise AlreadyExists(f"another daemon (process {holder}) uses {layout.state}") from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


if __name__ == "__main__":
    main()
