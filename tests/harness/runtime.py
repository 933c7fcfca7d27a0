"""An OCI runtime command on a root directory of its own, and a bundle with busybox to run by it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.harness.daemon import Completed

RUNTIME = os.environ.get("AETHEL_TEST_RUNTIME", str(Path(sys.executable).parent / "aethel-run"))
"""Another runtime can be named, to test the tests themselves."""


class Runtime:
    """`close` removes every trace."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="oci-", dir=os.environ.get("AETHEL_TEST_ROOT", "/tmp")))
        self.directory.chmod(0o755)
        self.root = self.directory / "root"
        self.bundle = self.directory / "bundle"
        self.rootfs = self.bundle / "rootfs"
        self.log = self.directory / "log"
        self.command = [RUNTIME]
        self.prefix = f"oci{secrets.token_hex(3)}"
        self._make_rootfs()
        self.spec = self._default_spec()

    def _make_rootfs(self) -> None:
        for name in ("bin", "proc", "dev", "sys", "etc", "tmp"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.rootfs / "bin/busybox")
        for name in ("sh", "cat", "id", "sleep", "echo", "ls", "readlink", "true", "kill", "stty", "tty", "touch"):
            (self.rootfs / "bin" / name).symlink_to("busybox")

    def _default_spec(self) -> dict[str, Any]:
        done = subprocess.run([RUNTIME, "spec", "-b", str(self.bundle)], capture_output=True, check=True)
        assert done.stdout == b""
        spec: dict[str, Any] = json.loads((self.bundle / "config.json").read_text())
        spec["process"]["terminal"] = False
        spec["process"].pop("rlimits", None)
        spec["process"]["env"] = ["PATH=/bin"]
        spec["linux"]["cgroupsPath"] = f"/{self.prefix}/c"
        return spec

    def write(self, *args: str, **process: Any) -> None:
        """config.json with that program."""
        self.spec["process"] |= {"args": list(args), **process}
        (self.bundle / "config.json").write_text(json.dumps(self.spec))

    def __call__(self, *arguments: str, stdin: bytes = b"", **how: Any) -> Completed:
        command = [*self.command, "--root", str(self.root), *arguments]
        # To a file, not a pipe: what the container inherits must not keep us waiting for its end.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run(command, input=stdin, stdout=out, stderr=err, timeout=60, check=False, **how)
            out.seek(0)
            err.seek(0)
            return Completed(done.returncode, out.read().decode(), err.read().decode())

    def create(self, container_id: str, *arguments: str) -> Completed:
        return self("create", "--bundle", str(self.bundle), *arguments, container_id)

    def run(self, *args: str, options: tuple[str, ...] = (), **process: Any) -> Completed:
        """A program in the foreground."""
        self.write(*args, **process)
        return self("run", "--bundle", str(self.bundle), *options, f"r{secrets.token_hex(3)}")

    def state(self, container_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self("state", container_id).out)
        return answer

    def close(self) -> None:
        for name in os.listdir(self.root) if self.root.is_dir() else ():
            self("delete", "--force", name)
        from aethel_run.cgroup.tree import Cgroup, mount_point

        Cgroup(mount_point() / self.prefix).remove()
        shutil.rmtree(self.directory)
