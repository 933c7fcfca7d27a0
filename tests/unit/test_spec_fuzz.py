"""Whatever bytes a document has, reading it gives a Spec or an InvalidSpec that says where."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aethel_common.errors import InvalidSpec
from aethel_run.spec.config import Spec
from aethel_run.spec.load import decode, decode_process, decode_resources, encode
from aethel_run.spec.template import default_spec

T = TypeVar("T")

BASE: dict[str, Any] = json.loads(encode(default_spec()))

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def _paths(document: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        found += _paths(value, (*path, key))
    return found


PATHS = _paths(BASE)


def _changed(path: tuple[str | int, ...], value: Any) -> bytes:
    document = json.loads(json.dumps(BASE))
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(document).encode()


def _taken(reader: Callable[[bytes], T], document: bytes) -> T | None:
    """What was read; None when it was refused. Any other error fails the test."""
    try:
        return reader(document)
    except InvalidSpec:
        return None


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PATHS), ANYTHING)
@example(("linux", "namespaces"), [{"type": "pid"}])
@example(("process", "cwd"), "")
def test_any_value_anywhere_is_taken_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    spec = _taken(decode, _changed(path, value))
    if spec is not None:
        assert decode(encode(spec)) == spec


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    for reader in (decode, decode_process, decode_resources):
        _taken(reader, data)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=12), ANYTHING, max_size=5))
def test_unknown_fields_change_nothing(more: dict[str, Any]) -> None:
    """config.md#extensibility: unknown properties must be ignored."""
    known = set(Spec.__struct_encode_fields__)
    document = {**{f"x-{key}": value for key, value in more.items()}, **BASE}
    assert known.isdisjoint(f"x-{key}" for key in more)
    assert decode(json.dumps(document).encode()) == default_spec()


@pytest.mark.parametrize("path", [path for path in PATHS if len(path) == 2], ids=str)
def test_a_wrong_type_is_told_with_its_path(path: tuple[str | int, ...]) -> None:
    wrong: Any = 5 if not isinstance(BASE[path[0]][path[1]], int) else "five"
    with pytest.raises(InvalidSpec, match=rf"\$\.{path[0]}.*{'' if isinstance(path[1], int) else path[1]}"):
        decode(_changed(path, wrong))
