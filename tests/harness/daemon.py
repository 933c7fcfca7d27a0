"""A real aethel-d on a state root, socket, bridge and cgroup of its own, driven by the installed aethel."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aethel_net import firewall
from aethel_net.model import Bridge
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_storage import recipes
from tests.harness.host import wait_until

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
    """Starts when made; `close` removes every trace of it, and says what was left."""

    def __init__(self, *, build: bool = True) -> None:
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
        self.flags: dict[str, str] = {}
        """Further settings, for the next start."""
        self.process: subprocess.Popen[bytes] | None = None
        if build:
            recipes.build("demo-alpine", CACHE, lambda stage, done, total: None)
        self.start()

    # -- the daemon ------------------------------------------------------------------------------

    @property
    def command(self) -> list[str]:
        flags = {
            "state-root": self.state,
            "run-root": self.run,
            "cache-root": CACHE,
            "socket": self.socket,
            "bridge": self.bridge,
            "subnet": self.subnet,
            "cgroup-parent": self.cgroup,
            "log-level": "debug",
            **self.flags,
        }
        return [str(BIN / "aethel-d"), *(f"--{name}={value}" for name, value in flags.items())]

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert wait_until(lambda: self.aethel("version").code == 0, 20), self.log.read_text()

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

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
        code = self.stop()
        left = list((self.state / "containers").iterdir()) if (self.state / "containers").is_dir() else []
        bridge = Bridge(self.bridge, ipaddress.IPv4Network(self.subnet))
        firewall.remove(bridge)
        subprocess.run(["ip", "link", "del", self.bridge], check=False, capture_output=True)
        cgroups = [path for path in (mount_point() / self.cgroup).iterdir() if path.is_dir()]
        Cgroup(mount_point() / self.cgroup).remove()
        shutil.rmtree(self.root)
        assert code == 0
        assert left == []
        assert cgroups == []

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
            timeout=timeout,
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
