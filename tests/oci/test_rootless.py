"""A user without privilege, with a user namespace: everything that needs none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.harness.host import wait_until
from tests.harness.runtime import Runtime

_UID = 12345
_MAIN = "from aethel_run.cli.main import main; main()"


_AS_USER = ["setpriv", f"--reuid={_UID}", f"--regid={_UID}", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin"]


def _interpreter() -> str | None:
    """One that other users may start, of the same version: they have no way into root's home."""
    for path in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        command = [*_AS_USER, path, "-c", "import sys; print(sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if done.stdout.strip() == str(sys.version_info[:2]):
            return path
    return None


@pytest.fixture
def user(runtime: Runtime) -> Runtime:
    """The runtime and its bundle in that user's hands."""
    interpreter = _interpreter()
    if interpreter is None:
        pytest.skip("no interpreter of this version that other users may start")
    library = sysconfig.get_paths()["purelib"]
    runtime.command = [*_AS_USER, f"PYTHONPATH={library}", interpreter, "-c", _MAIN]
    for path, directories, files in os.walk(runtime.directory):
        for name in (".", *directories, *files):
            os.chown(os.path.join(path, name), _UID, _UID, follow_symlinks=False)
    (runtime.bundle / "config.json").unlink()
    done = runtime("spec", "--rootless", "--bundle", str(runtime.bundle))
    assert done.code == 0, done.err
    runtime.spec = json.loads((runtime.bundle / "config.json").read_text())
    runtime.spec["process"] |= {"terminal": False, "env": ["PATH=/bin"]}
    return runtime


def test_a_user_is_root_inside_and_himself_outside(user: Runtime) -> None:
    done = user.run("sh", "-c", "id -u; touch /made; cat /proc/self/uid_map; cat /proc/1/setgroups; ls /sys/class/net")
    assert done.code == 0, done.err
    assert done.out.split() == ["0", "0", str(_UID), "1", "deny", "lo"]
    assert (user.rootfs / "made").stat().st_uid == _UID


def test_a_life_without_privilege(user: Runtime) -> None:
    user.write("sleep", "100")
    assert user.create("one").code == 0
    assert user("start", "one").code == 0
    assert user.state("one")["status"] == "running"
    done = user("exec", "one", "id", "-u")
    assert (done.code, done.out) == (0, "0\n"), done.err
    assert user("kill", "one", "KILL").code == 0
    assert wait_until(lambda: user.state("one")["status"] == "stopped")
    assert user("delete", "one").code == 0


def test_a_bind_mount_of_his_own(user: Runtime) -> None:
    source = user.bundle / "source"
    source.mkdir()
    (source / "file").write_text("his\n")
    os.chown(source, _UID, _UID)
    user.spec["mounts"].append({"destination": "/in", "type": "bind", "source": "source", "options": ["bind", "ro"]})
    done = user.run("sh", "-c", "cat /in/file; touch /in/x 2>&1 | cat")
    assert done.out.startswith("his\n")
    assert "Read-only" in done.out


def test_what_needs_privilege_is_refused(user: Runtime) -> None:
    user.spec["linux"]["resources"] = {"pids": {"limit": 5}}
    user.write("true")
    done = user.create("one")
    assert done.code == 1
    assert "pids" in done.err
    assert not (user.root / "one").exists()


@pytest.mark.skipif(shutil.which("newuidmap") is not None, reason="newuidmap is installed")
def test_more_than_one_id_needs_the_helper(user: Runtime) -> None:
    user.spec["linux"]["uidMappings"] = [
        {"containerID": 0, "hostID": _UID, "size": 1},
        {"containerID": 1, "hostID": 100000, "size": 1000},
    ]
    user.write("true")
    done = user.create("one")
    assert done.code == 1
    assert "newuidmap is needed" in done.err
    assert not Path(user.root / "one").exists()
