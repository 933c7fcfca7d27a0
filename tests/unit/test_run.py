"""Documents: what they mean, what is refused, and the plan that carries them out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from aethel_common.errors import InvalidSpec
from aethel_common.linux.mounts import MountAttr, MountFlags
from aethel_run.init.plan import SETUP_STEPS, START_STEPS
from aethel_run.spec.load import decode, encode
from aethel_run.spec.mounts import Mount, meaning
from aethel_run.spec.template import default_spec


def document(**changes: Any) -> bytes:
    base = json.loads(encode(default_spec()))
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = base
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = value
    return json.dumps(base).encode()


def test_the_default_document_comes_back() -> None:
    assert decode(encode(default_spec())) == default_spec()


def test_unknown_fields_are_ignored() -> None:
    assert decode(document(some__thing=1)) == default_spec()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"process__args": []}, "process.args"),
        ({"process__args": "sh"}, r"\$\.process\.args"),
        ({"process__cwd": "relative"}, "process.cwd"),
        ({"ociVersion": "2.0.0"}, "ociVersion"),
        ({"linux__namespaces": [{"type": "pidd"}]}, r"namespaces\[0\]"),
        ({"linux__namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "pid"}]}, "twice"),
        ({"linux__namespaces": [{"type": "pid"}]}, "mount namespace"),
        ({"linux__namespaces": [{"type": "mount", "path": "relative"}]}, "not absolute"),
        ({"linux__sysctl": {"kernel.core_pattern": "|/x"}}, "core_pattern"),
        ({"linux__sysctl": {"net..x": "1"}}, "net"),
        ({"process__rlimits": [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]}, "RLIMIT_NOPE"),
        ({"linux__uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}, "user namespace"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        decode(document(**changes))


def test_option_words() -> None:
    words = meaning(
        Mount(destination="/x", options=("rbind", "ro", "nosuid", "suid", "rro", "noatime", "mode=755", "rslave"))
    )
    assert words.attr_set == MountAttr.RDONLY | MountAttr.NOATIME
    assert words.attr_clr == MountAttr.NOSUID | MountAttr.ATIME
    assert words.recursive_set == MountAttr.RDONLY
    assert (words.bind, words.recursive) == (True, True)
    assert words.propagation == [(MountFlags.SLAVE, True)]
    assert words.data == []  # a bind has no file system to tell


def test_every_step_says_what_it_does_and_where_to_read_on() -> None:
    steps = (*SETUP_STEPS, *START_STEPS)
    assert len({step.name for step in steps}) == len(steps)
    for step in steps:
        assert step.sentence.endswith("."), step.name
        assert "(" in step.man, step.name


@pytest.mark.parametrize("module", ["aethel_d.launcher.main", "aethel_run.cli.create", "aethel_run.lifecycle.create"])
def test_what_forks_loads_no_grpc_and_no_threads(module: str) -> None:
    script = f"""
import sys, {module}
print([name for name in ("grpc", "google.protobuf", "asyncio", "threading", "pyroute2", "click") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
