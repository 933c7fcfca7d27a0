"""Podman with this runtime, `--runtime aethel-run`: what its users do every day.

In a mount namespace where only cgroup2 is to be seen: elsewhere Podman would make cgroups in every v1 hierarchy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from aethel_run.cgroup.tree import Cgroup, mount_point
from tests.harness.daemon import Completed
from tests.harness.runtime import RUNTIME, Runtime

pytestmark = pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")

_ALONE = f'mount --rbind {mount_point()} /sys/fs/cgroup && exec "$@"'
_CONFIGURATION = "[containers]\npids_limit = 0\ndefault_ulimits = []\n"
"""Podman's own defaults ask for controllers and limits that not every host can give."""


class Podman:
    """With storage, state and configuration of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "containers.conf").write_text(_CONFIGURATION)

    @property
    def command(self) -> list[str]:
        podman = ["podman", "--root", f"{self.directory}/root", "--runroot", f"{self.directory}/run"]
        podman += ["--tmpdir", f"{self.directory}/tmp", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
        podman += ["--events-backend", "file", "--runtime", RUNTIME]
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ALONE, "-", *podman]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CONTAINERS_CONF": f"{self.directory}/containers.conf"}

    def __call__(self, *arguments: str) -> Completed:
        done = subprocess.run(
            [*self.command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
            timeout=100,
        )
        return Completed(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    made = Podman(tmp_path_factory.mktemp("podman"))
    busybox = Runtime()
    archive = made.directory / "busybox.tar"
    subprocess.run(["tar", "-C", str(busybox.rootfs), "-cf", str(archive), "."], check=True)
    busybox.close()
    assert made("import", str(archive), "busybox").code == 0
    yield made
    made("rm", "-f", "-a")
    Cgroup(mount_point() / "libpod_parent").remove()


def test_a_container_is_run_and_gone(podman: Podman) -> None:
    done = podman("run", "--rm", "--network", "none", "busybox", "sh", "-c", "id -u; exit 7")
    assert (done.code, done.out) == (7, "0\n"), done.err
    assert podman("ps", "-aq").out == ""


def test_a_container_is_executed_in_paused_stopped_and_removed(podman: Podman) -> None:
    assert podman("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "100").code == 0
    assert podman("exec", "one", "echo", "inside").out == "inside\n"
    assert podman("exec", "one", "sh", "-c", "exit 5").code == 5
    assert podman("exec", "one", "/nope").code == 127
    assert podman("exec", "one", "/etc").code == 126
    assert podman("pause", "one").code == 0
    assert podman("inspect", "--format", "{{.State.Status}}", "one").out == "paused\n"
    assert podman("unpause", "one").code == 0
    assert podman("stop", "-t", "0", "one").code == 0
    assert podman("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "one").out == "exited 137\n"
    assert podman("start", "one").code == 0
    assert podman("kill", "one").code == 0
    assert podman("rm", "-f", "one").code == 0
    assert podman("ps", "-aq").out == ""


def test_a_program_that_cannot_be_run_is_told(podman: Podman) -> None:
    done = podman("run", "--rm", "--network", "none", "busybox", "/nope")
    assert done.code in (126, 127)
    assert "no such file or directory" in done.err
    assert podman("ps", "-aq").out == ""


def test_a_terminal(podman: Podman) -> None:
    shell = pexpect.spawn(
        podman.command[0],
        [*podman.command[1:], "run", "--rm", "-it", "--network", "none", "busybox", "sh"],
        env=podman.environment,
        timeout=30,
        encoding="utf-8",
    )
    shell.expect("# ")
    shell.sendline("tty; exit 3")
    shell.expect("/dev/pts/0")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 3
