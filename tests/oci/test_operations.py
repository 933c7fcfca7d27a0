"""runtime.md#operations: state, create, start, kill, delete, and what each refuses."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from aethel_run.cgroup.tree import mount_point
from tests.harness.host import wait_until
from tests.harness.runtime import Runtime


def test_a_life(runtime: Runtime) -> None:
    """runtime.md#lifecycle, steps 1 to 13; runtime.md#state"""
    runtime.write("sh", "-c", "echo started > /tmp/it; exec sleep 100")
    assert runtime.create("one").code == 0
    state = runtime.state("one")
    assert (state["status"], state["id"], state["bundle"]) == ("created", "one", str(runtime.bundle))
    assert Path(f"/proc/{state['pid']}").exists()
    assert not (runtime.rootfs / "tmp/it").exists(), "the program must not run before start"
    assert runtime("start", "one").code == 0
    assert runtime.state("one")["status"] == "running"
    assert wait_until((runtime.rootfs / "tmp/it").exists)
    assert runtime("kill", "one", "KILL").code == 0
    assert wait_until(lambda: runtime.state("one")["status"] == "stopped")
    assert runtime("delete", "one").code == 0
    assert runtime("state", "one").code == 1
    assert runtime.create("one").code == 0, "after delete the id may be used again"


@pytest.mark.parametrize("verb", ["state", "start", "kill", "delete", "pause", "resume", "ps", "exec"])
def test_an_unknown_container_is_an_error(runtime: Runtime, verb: str) -> None:
    """runtime.md#operations: not providing the id of a container that exists is an error."""
    done = runtime(verb, "nobody", *(["true"] if verb == "exec" else []))
    assert done.code == (255 if verb == "exec" else 1)
    assert "container does not exist" in done.err


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a b", "x" * 1025, "ä"])
def test_a_bad_id_makes_nothing(runtime: Runtime, name: str) -> None:
    """runtime.md#create"""
    runtime.write("true")
    done = runtime.create(name)
    assert done.code == 1
    assert not runtime.root.exists() or os.listdir(runtime.root) == []


def test_an_id_is_given_once(runtime: Runtime) -> None:
    """runtime.md#create: the id must be unique on the host."""
    runtime.write("sleep", "100")
    assert runtime.create("one").code == 0
    pid = runtime.state("one")["pid"]
    done = runtime.create("one")
    assert done.code == 1
    assert "container with given ID already exists" in done.err
    assert runtime.state("one")["pid"] == pid


def test_what_is_not_allowed_in_a_state_changes_nothing(runtime: Runtime) -> None:
    """runtime.md#start, #kill, #delete"""
    runtime.write("sleep", "100")
    runtime.create("one")
    done = runtime("delete", "one")
    assert (done.code, "that is not stopped" in done.err) == (1, True)
    runtime("start", "one")
    assert runtime("start", "one").code == 1
    assert runtime("delete", "one").code == 1
    assert runtime.state("one")["status"] == "running"
    runtime("kill", "one", "9")
    assert wait_until(lambda: runtime.state("one")["status"] == "stopped")
    done = runtime("kill", "one", "TERM")
    assert (done.code, "container not running" in done.err) == (1, True)
    assert runtime("start", "one").code == 1


def test_changes_of_the_document_after_create_mean_nothing(runtime: Runtime) -> None:
    """runtime.md#lifecycle, step 2"""
    runtime.write("sh", "-c", "echo first > /tmp/it")
    runtime.create("one")
    runtime.write("sh", "-c", "echo second > /tmp/it")
    runtime("start", "one")
    assert wait_until(lambda: (runtime.rootfs / "tmp/it").exists() and (runtime.rootfs / "tmp/it").read_text())
    assert (runtime.rootfs / "tmp/it").read_text() == "first\n"


def test_a_container_without_a_process_can_be_created_and_not_started(runtime: Runtime) -> None:
    """config.md#process: it is start that needs one."""
    del runtime.spec["process"]
    (runtime.bundle / "config.json").write_text(json.dumps(runtime.spec))
    assert runtime.create("one").code == 0
    done = runtime("start", "one")
    assert (done.code, "process" in done.err) == (1, True)
    assert runtime("delete", "--force", "one").code == 0


@pytest.mark.parametrize(
    ("program", "words"), [("nope", "executable file not found"), ("/nope", "no such file"), ("/etc", "is a directory")]
)
def test_a_program_that_is_not_there_is_an_error_of_start(runtime: Runtime, program: str, words: str) -> None:
    """runtime.md#start"""
    runtime.write(program)
    assert runtime.create("one").code == 0
    done = runtime("start", "one")
    assert done.code == 1
    assert words in done.err
    assert runtime.state("one")["status"] == "stopped"
    assert runtime("delete", "one").code == 0


def test_a_failed_create_leaves_nothing(runtime: Runtime) -> None:
    """runtime.md#errors: generating an error must leave the state of the environment as if it had not been tried."""
    runtime.spec["mounts"].append({"destination": "/x", "type": "nosuchfs", "source": "none"})
    runtime.write("true")
    fds = os.listdir("/proc/self/fd")
    done = runtime.create("one", "--pid-file", str(runtime.directory / "pid"))
    assert done.code == 1
    assert "nosuchfs" in done.err
    assert os.listdir(runtime.root) == []
    assert not (runtime.directory / "pid").exists()
    assert not (mount_point() / runtime.prefix / "c").exists()
    assert os.listdir("/proc/self/fd") == fds


def test_delete_with_force_is_content_with_nobody(runtime: Runtime) -> None:
    assert runtime("delete", "--force", "nobody").code == 0


def test_the_pid_file_has_the_pid(runtime: Runtime) -> None:
    runtime.write("sleep", "100")
    runtime.create("one", "--pid-file", str(runtime.directory / "pid"))
    assert int((runtime.directory / "pid").read_text()) == runtime.state("one")["pid"]


def test_signals_by_name_and_number(runtime: Runtime) -> None:
    """runtime.md#kill"""
    for wanted in ("USR1", "SIGUSR1", str(int(signal.SIGUSR1))):
        runtime.write("sh", "-c", "trap 'echo got > /tmp/got; exit 0' USR1; echo > /tmp/ready; while :; do :; done")
        runtime.create("one")
        runtime("start", "one")
        assert wait_until((runtime.rootfs / "tmp/ready").exists)
        assert runtime("kill", "one", wanted).code == 0
        assert wait_until(lambda: runtime.state("one")["status"] == "stopped")
        assert (runtime.rootfs / "tmp/got").exists()
        for name in ("got", "ready"):
            (runtime.rootfs / "tmp" / name).unlink()
        runtime("delete", "one")


def test_without_a_pid_namespace_kill_reaches_all(runtime: Runtime) -> None:
    """A container that shares the host's PID namespace is ended through its cgroup."""
    runtime.spec["linux"]["namespaces"] = [n for n in runtime.spec["linux"]["namespaces"] if n["type"] != "pid"]
    runtime.write("sh", "-c", "sleep 100 & sleep 100 & wait")
    runtime.create("one")
    runtime("start", "one")
    assert wait_until(lambda: len(json.loads(runtime("ps", "--format", "json", "one").out)) == 3)
    pids = json.loads(runtime("ps", "--format", "json", "one").out)
    assert runtime("kill", "--all", "one", "KILL").code == 0
    assert wait_until(lambda: not any(_runs(pid) for pid in pids))
    assert runtime("delete", "one").code == 0


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_run_returns_the_program_s_status(runtime: Runtime) -> None:
    assert runtime.run("sh", "-c", "exit 7").code == 7
    assert runtime.run("sh", "-c", "sleep 100 & kill -TERM $!; wait $!").code == 143
    assert runtime("list", "-q").out == ""


def test_list_and_json(runtime: Runtime) -> None:
    runtime.write("sleep", "100")
    for name in ("a", "b"):
        runtime.spec["linux"]["cgroupsPath"] = f"/{runtime.prefix}/{name}"
        runtime.write("sleep", "100")
        runtime.create(name)
    assert runtime("list", "-q").out.split() == ["a", "b"]
    assert [each["status"] for each in json.loads(runtime("list", "--format", "json").out)] == ["created"] * 2


def test_errors_are_the_last_line_of_the_json_log(runtime: Runtime) -> None:
    """Callers such as conmon and containerd's shim read them there."""
    done = runtime("--log", str(runtime.log), "--log-format", "json", "state", "nobody")
    assert done.code == 1
    line = json.loads(runtime.log.read_text().splitlines()[-1])
    assert line["level"] == "error"
    assert line["msg"] == "container does not exist"
    assert line["time"]
