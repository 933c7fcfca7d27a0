"""A real aethel-d on a state root, socket, bridge and cgroup of its own, driven by the installed aethel."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aethel_net import firewall
from aethel_net.model import Bridge
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_storage import recipes
from tests.harness import host
from tests.harness.host import patience, wait_until

BIN = Path(sys.executable).parent
CACHE = Path(os.environ.get("AETHEL_TEST_CACHE", Path(__file__).parents[2] / ".cache"))


@dataclass(frozen=True)
class Completed:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return self.err.splitlines()


class Daemon:
    """Starts when made; `close` removes every trace of it, and says what was left.

    `small` gives directories of it (`state`, `run`, `cache`) a file system of their own: a name and the options of
    mount(8). They are mounted in a mount namespace that the daemon has to itself, so the host's table never changes.
    `settings` are more of the daemon's flags.
    """

    def __init__(
        self, *, build: bool = True, small: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.token = secrets.token_hex(3)
        self.root = Path(tempfile.mkdtemp(prefix=f"ae{self.token}-", dir=os.environ.get("AETHEL_TEST_ROOT", "/tmp")))
        self.socket = self.root / "s"
        self.state = self.root / "state"
        self.run = self.root / "run"
        self.log = self.root / "log"
        self.bridge = f"ae{self.token}"
        number = int(self.token, 16)
        self.subnet = f"10.{200 + number % 50}.{number // 50 % 256}.0/24"
        self.cgroup = f"aethel-test-{self.token}"
        self.cache = self.root / "cache" if small and "cache" in small else CACHE
        self.process: subprocess.Popen[bytes] | None = None
        self.small = dict(small or {})
        self.settings = dict(settings or {})
        if build:
            recipes.build("demo-alpine", CACHE, lambda stage, done, total: None)
        self.start()

    # -- the daemon ------------------------------------------------------------------------------

    @property
    def command(self) -> list[str]:
        flags = {
            "state-root": self.state,
            "run-root": self.run,
            "cache-root": self.cache,
            "socket": self.socket,
            "bridge": self.bridge,
            "subnet": self.subnet,
            "cgroup-parent": self.cgroup,
            "log-level": "debug",
            **self.settings,
        }
        return [*self._apart(), str(BIN / "aethel-d"), *(f"--{name}={value}" for name, value in flags.items())]

    def _apart(self) -> list[str]:
        """A mount namespace with the small file systems, in front of the command."""
        if not self.small:
            return []
        for name in self.small:
            (self.root / name).mkdir(exist_ok=True)
        script = "; ".join(f"mount {options} {self.root}/{name}" for name, options in self.small.items())
        return ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", f'{script}; exec "$@"', "-"]

    def seen(self, path: Path) -> Path:
        """The path as the daemon sees it, who may have mounts of its own."""
        return Path(f"/proc/{self.pid}/root{path}")

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # To ask at once with the command would keep a slow host from starting what is asked.
        assert wait_until(self._listens, 20), self.log.read_text()
        # `info` also starts the launcher, which would come with the first container otherwise.
        assert wait_until(self._stands_by, 20), self.log.read_text()

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0

    def _stands_by(self) -> bool:
        """Whether a monitor waits for the first container: it is there before and after all others."""
        done = self.aethel("info", "--format", "json")
        return done.code == 0 and len(host.children(json.loads(done.out)["LauncherPid"])) > 0

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(patience(20))

    def kill9(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def close(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            self.start()
        ids = self.aethel("ps", "-aq").out.split()
        if ids:
            self.aethel("rm", "-f", *ids)
        containers = self.seen(self.state / "containers")
        left = list(containers.iterdir()) if containers.is_dir() else []
        code = self.stop()
        bridge = Bridge(self.bridge, ipaddress.IPv4Network(self.subnet))
        firewall.remove(bridge)
        subprocess.run(["ip", "link", "del", self.bridge], check=False, capture_output=True)
        cgroups = [path for path in (mount_point() / self.cgroup).iterdir() if path.is_dir()]
        Cgroup(mount_point() / self.cgroup).remove()
        shutil.rmtree(self.root)
        assert code == 0
        assert left == []
        assert cgroups == []

    def traces(self) -> dict[str, object]:
        """All that containers of this daemon may leave behind, so that before and after can be compared."""
        (launcher,) = host.children(self.pid)
        # It takes a moment after its start, and after each launch, until the next monitor stands by.
        assert wait_until(lambda: host.children(launcher))
        return {
            "containers": self.rows("SELECT id FROM containers"),
            "leases": self.rows("SELECT container_id FROM leases"),
            "directories": {
                name: host.names_in(self.seen(path))
                for name, path in (
                    ("containers", self.state / "containers"),
                    ("layers", self.state / "layers"),
                    ("blobs", self.state / "content/blobs/sha256"),
                    ("bundles", self.run / "containers"),
                )
            },
            "mounts": host.mounts_of(self.root),
            "links": host.ports_of(self.bridge),
            "tables": [table for table in host.tables() if self.bridge in table],
            "cgroups": host.cgroups(self.cgroup),
            # Always one that stands by, each time another.
            "monitors": len(host.children(launcher)),
            "launcher's descriptors": host.descriptors(launcher),
        }

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What a query of the daemon's database gives, from a copy: nothing of ours may hold the file."""
        with tempfile.TemporaryDirectory() as directory:
            for name in ("aethelred.db", "aethelred.db-wal"):
                if self.seen(self.state / name).exists():
                    shutil.copyfile(self.seen(self.state / name), Path(directory) / name)
            with contextlib.closing(sqlite3.connect(Path(directory) / "aethelred.db")) as sql:
                return sql.execute(query).fetchall()

    # -- the commands ----------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "AETHEL_HOST": str(self.socket)}

    def aethel(self, *arguments: str, stdin: bytes | None = None, timeout: float = 60) -> Completed:
        done = subprocess.run(
            [str(BIN / "aethel"), *arguments],
            input=b"" if stdin is None else stdin,
            capture_output=True,
            env=self.environment,
            timeout=patience(timeout),
            check=False,
        )
        return Completed(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def spawn(self, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([str(BIN / "aethel"), *arguments], env=self.environment, **how)

    def shell(self, script: str, *options: str) -> Completed:
        """A script in a new container that is removed afterwards."""
        return self.aethel("run", "--rm", *options, "demo-alpine", "sh", "-c", script)

    def detached(self, script: str, *options: str) -> str:
        """A container in the background; its id."""
        done = self.aethel("run", "-d", *options, "demo-alpine", "sh", "-c", script)
        assert done.code == 0, done.err
        return done.out.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.aethel("inspect", name).out)
        return found[0]

    def info(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.aethel("info", "--format", "json").out)
        return answer
