"""A container's record becomes a document. Each case of cases/oci holds the record, and how its document differs from
that of a plain container (RFC 7386, a merge patch: null takes a field away)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aethel_d.engine import oci
from aethel_d.engine.devices import HostDevice
from aethel_d.engine.model import Container
from aethel_d.engine.seccomp import Machine
from aethel_run.spec.linux import Device
from aethel_run.spec.load import decode, encode

CASES = Path(__file__).parents[1] / "cases" / "oci"
PLAIN = json.loads((CASES / "plain.json").read_text())
NAMES = sorted(path.stem for path in CASES.glob("*.json"))


def document(case: dict[str, Any]) -> bytes:
    record = {**PLAIN["record"], **case["record"]}
    place = case.get("place", {})
    return encode(
        oci.spec(
            msgspec.convert(record, Container),
            oci.Place(
                etc=Path("/state/etc"),
                cgroup="/sys/fs/cgroup/aethelred/id",
                machine=Machine(architecture="x86_64", release="6.1.0"),
                joins=place.get("joins", {}),
                devices=tuple(
                    HostDevice(
                        device=msgspec.convert(each["device"], Device), access=each["access"], node=each.get("node", "")
                    )
                    for each in place.get("devices", ())
                ),
                shm=place.get("shm", ""),
                has_mqueue=place.get("hasMqueue", True),
            ),
        )
    )


def difference(old: Any, new: Any) -> Any:
    """The merge patch that makes `new` of `old`."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    changed = {key: difference(old.get(key), value) for key, value in new.items() if old.get(key) != value}
    return {**changed, **{key: None for key in old if key not in new}}


def told(text: bytes) -> Any:
    """The document, with mounts by their place (and their order), and of the default filter what changes.

    That filter has tests of its own.
    """
    found = json.loads(text)
    found["mountOrder"] = [mount["destination"] for mount in found["mounts"]]
    found["mounts"] = {mount.pop("destination"): mount for mount in found["mounts"]}
    if "seccomp" in found["linux"]:
        calls = found["linux"]["seccomp"]["syscalls"]
        found["linux"]["seccomp"]["syscalls"] = {"rules": len(calls), "mayMount": "mount" in calls[0]["names"]}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_document_is_as_it_should_be(name: str) -> None:
    case = json.loads((CASES / f"{name}.json").read_text())
    text = document(case)
    assert encode(decode(text)) == text
    if name == "plain":
        assert told(text) == case["expected"]
    else:
        assert difference(told(document(PLAIN)), told(text)) == case["expected"]
