"""config.md#posix-platform-hooks, and runtime.md#lifecycle for their order and what their failure means."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.harness.host import wait_until
from tests.harness.runtime import Runtime

HOST_SIDE = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def test_their_order_and_their_state(runtime: Runtime) -> None:
    """Each in its place, with the state on stdin; startContainer inside the container."""
    log = runtime.directory / "hooks.log"
    runtime.spec["hooks"] = {
        name: [hook(f"printf '{name} ' >> {log}; cat >> {log}; echo >> {log}")] for name in HOST_SIDE
    }
    runtime.spec["hooks"]["startContainer"] = [hook("cat > /tmp/state")]
    runtime.spec["annotations"] = {"key": "value"}
    runtime.write("sleep", "100")
    assert runtime.create("one").code == 0
    pid = runtime.state("one")["pid"]
    assert [line.split()[0] for line in log.read_text().splitlines()] == [
        "prestart",
        "createRuntime",
        "createContainer",
    ]
    assert runtime("start", "one").code == 0
    inside = json.loads((runtime.rootfs / "tmp/state").read_text())
    assert (inside["status"], inside["pid"], inside["id"]) == ("created", 1, "one")
    runtime("kill", "one", "KILL")
    assert wait_until(lambda: runtime.state("one")["status"] == "stopped")
    assert runtime("delete", "one").code == 0
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    assert [name for name, _ in lines] == list(HOST_SIDE)
    states = {name: json.loads(text) for name, text in lines}
    for name, status in {"createRuntime": "creating", "poststart": "running", "poststop": "stopped"}.items():
        assert states[name]["status"] == status
        assert states[name]["bundle"] == str(runtime.bundle)
        assert states[name]["annotations"] == {"key": "value"}
    assert states["createRuntime"]["pid"] == states["poststart"]["pid"] == pid


def test_where_each_runs(runtime: Runtime) -> None:
    """createRuntime in the host's namespaces, createContainer in the container's, both with the host's files."""
    log = runtime.directory / "hooks.log"
    runtime.spec["hooks"] = {
        name: [hook(f"readlink /proc/self/ns/net >> {log}; pwd >> {log}")]
        for name in ("createRuntime", "createContainer")
    }
    runtime.write("sleep", "100")
    runtime.create("one")
    pid = runtime.state("one")["pid"]
    host, first, container, second = log.read_text().split()
    assert host == os.readlink("/proc/self/ns/net")
    assert container == os.readlink(f"/proc/{pid}/ns/net")
    assert first == second == str(runtime.bundle)


def test_the_environment_is_the_hook_s_own(runtime: Runtime) -> None:
    """The class of CVE-2025-23266: nothing of the image's or the caller's environment."""
    log = runtime.directory / "hooks.log"
    runtime.spec["hooks"] = {
        name: [hook(f"/usr/bin/env >> {log}", env=["ONLY=this"])] for name in ("createRuntime", "createContainer")
    }
    runtime.write("true", env=["LD_PRELOAD=/evil.so", "PATH=/bin"])
    assert runtime.create("one").code == 0
    words = {line.partition("=")[0] for line in log.read_text().splitlines()}
    assert "ONLY" in words
    assert words <= {"ONLY", "PWD", "SHLVL", "_"}


@pytest.mark.parametrize("name", ["prestart", "createRuntime", "createContainer"])
def test_a_failing_hook_of_create_leaves_no_container(runtime: Runtime, name: str) -> None:
    """runtime.md#lifecycle: stop, and go on with the destruction."""
    runtime.spec["hooks"] = {name: [hook("echo it broke >&2; exit 3")]}
    runtime.write("true")
    done = runtime.create("one")
    assert done.code == 1
    assert f"{name}[0]" in done.err
    assert "exit status 3: it broke" in done.err
    assert not (runtime.root / "one").exists()


def test_a_failing_start_container_hook_stops_the_container(runtime: Runtime) -> None:
    runtime.spec["hooks"] = {"startContainer": [hook("exit 3")]}
    runtime.write("touch", "/tmp/ran")
    runtime.create("one")
    done = runtime("start", "one")
    assert (done.code, "startContainer[0]" in done.err) == (1, True)
    assert wait_until(lambda: runtime.state("one")["status"] == "stopped")
    assert not (runtime.rootfs / "tmp/ran").exists()


def test_a_failing_poststart_hook_stops_the_container(runtime: Runtime) -> None:
    """runtime-spec 1.3: poststart's failure is an error too."""
    runtime.spec["hooks"] = {"poststart": [hook("exit 3")]}
    runtime.write("sleep", "100")
    runtime.create("one")
    done = runtime("start", "one")
    assert (done.code, "poststart[0]" in done.err) == (1, True)
    assert wait_until(lambda: runtime.state("one")["status"] == "stopped")


def test_a_failing_poststop_hook_is_a_warning(runtime: Runtime) -> None:
    log = runtime.directory / "hooks.log"
    runtime.spec["hooks"] = {"poststop": [hook("exit 3"), hook(f"echo second > {log}")]}
    runtime.write("true")
    runtime.create("one")
    done = runtime("delete", "--force", "one")
    assert (done.code, "poststop[0]" in done.err) == (0, True)
    assert not (runtime.root / "one").exists()
    assert log.read_text() == "second\n"


def test_a_hook_that_takes_too_long_is_ended(runtime: Runtime) -> None:
    runtime.spec["hooks"] = {"createRuntime": [hook("sleep 100", timeout=1)]}
    runtime.write("true")
    done = runtime.create("one")
    assert (done.code, "longer than 1 s" in done.err) == (1, True)
    assert not (runtime.root / "one").exists()


def test_a_hook_that_is_not_there_is_named(runtime: Runtime) -> None:
    runtime.spec["hooks"] = {"createRuntime": [{"path": "/nowhere/hook"}]}
    runtime.write("true")
    done = runtime.create("one")
    assert (done.code, "/nowhere/hook" in done.err) == (1, True)


def test_a_daemon_left_behind_does_not_keep_the_hook(runtime: Runtime) -> None:
    pid_file = runtime.directory / "daemon"
    runtime.spec["hooks"] = {"createRuntime": [hook(f"sleep 30 & echo $! > {pid_file}")]}
    runtime.write("true")
    assert runtime.create("one").code == 0
    os.kill(int(Path(pid_file).read_text()), 9)
