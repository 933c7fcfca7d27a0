"""`aethel-run` explains itself: the plan, the live story, and what is left out, as a caller of the command sees them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.harness.runtime import RUNTIME, Runtime

pytestmark = pytest.mark.skipif(not RUNTIME.endswith("aethel-run"), reason="of this runtime alone")

STEP = re.compile(r"^ *([MI]\d+) (\w+) ", re.MULTILINE)


def steps(text: str) -> list[str]:
    shown = "\n".join(line for line in text.splitlines() if "-- not here" not in line)
    return [name for _, name in STEP.findall(shown)]


def users(runtime: Runtime) -> None:
    linux = runtime.spec["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 300000, "size": 65536}]


def test_the_plan_of_a_bundle(runtime: Runtime) -> None:
    runtime.write("true")
    shown = runtime("explain", str(runtime.bundle))
    assert shown.code == 0
    assert steps(shown.out)[:2] == ["make_cgroup", "spawn"]
    assert "become_root                -- not here: only with a user namespace" in shown.out
    plan: list[dict[str, Any]] = json.loads(runtime("explain", "--json", str(runtime.bundle)).out)
    assert [line["name"] for line in plan if line["applies"]] == steps(shown.out)
    assert {line["name"] for line in plan if line["without"]} >= {"mask_paths", "set_no_new_privs"}


def test_run_tells_on_stderr_what_the_plan_said(runtime: Runtime) -> None:
    done = runtime.run("echo", "hello", options=("--explain",))
    assert (done.code, done.out) == (0, "hello\n")
    planned = steps(runtime("explain", str(runtime.bundle)).out)
    assert steps(done.err) == planned
    assert re.search(r'execve\("/bin/echo", \["echo", "hello"\]', done.err)


def test_run_tells_programs_in_json(runtime: Runtime) -> None:
    done = runtime.run("true", options=("--explain=json",))
    told = [json.loads(line) for line in done.err.splitlines()]
    assert told[-1]["name"] == "execve"
    assert [event["name"] for event in told if event["event"] == "step"] == steps(
        runtime("explain", str(runtime.bundle)).out
    )


def test_create_and_start_tell_each_their_part(runtime: Runtime) -> None:
    runtime.write("true")
    made = runtime.create("c", "--explain")
    assert made.code == 0, made.err
    assert steps(made.err)[-1] == "give_attributes"
    started = runtime("start", "--explain", "c")
    assert started.code == 0
    assert steps(started.err)[0] == "open_gate"
    assert steps(started.err)[-1] == "execute"
    assert steps(made.err) + steps(started.err) == steps(runtime("explain", str(runtime.bundle)).out)


def test_a_start_that_is_not_to_be_told_is_not(runtime: Runtime) -> None:
    runtime.write("true")
    runtime.create("c", "--explain")
    assert runtime("start", "c").err == ""


def test_without_marks_the_state_and_warns(runtime: Runtime) -> None:
    users(runtime)
    runtime.write("sleep", "60")
    made = runtime.create("c", "--without", "mask_paths")
    assert made.code == 0, made.err
    assert "WITHOUT mask_paths" in made.err
    state = runtime.state("c")
    assert state["without"] == ["mask_paths"]
    assert state["annotations"]["org.aethelred.without"] == "mask_paths"


def test_a_whole_container_is_not_marked(runtime: Runtime) -> None:
    runtime.write("sleep", "60")
    runtime.create("c")
    state = runtime.state("c")
    assert "without" not in state
    assert "org.aethelred.without" not in (state.get("annotations") or {})


@pytest.mark.parametrize(
    ("step", "words"),
    [("detach_old_root", "host's files would be in reach"), ("set_capabilities", "only in a user namespace")],
)
def test_without_refuses_and_leaves_nothing(runtime: Runtime, step: str, words: str) -> None:
    runtime.write("true")
    done = runtime.create("c", "--without", step)
    assert done.code == 1
    assert step in done.err
    assert words in done.err
    assert runtime("state", "c").code == 1
