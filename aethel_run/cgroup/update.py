"""What a container's resources are after an `update`: the new over the old (pure), to be kept in its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from aethel_run.spec.resources import HugepageLimit, Resources, ThrottleDevice, WeightDevice


def merge(old: Resources, new: Resources) -> Resources:
    """`new`, and from `old` what it does not name.

    Lists about devices or page sizes are merged entry by entry, maps key by key. Device rules are a list in order: a new
    one stands for all of the old.
    """
    merged: Resources = _struct(old, new)
    return merged


def _struct(old: Any, new: Any) -> Any:
    fields = {name: _value(getattr(old, name), getattr(new, name)) for name in type(new).__struct_fields__}
    return type(new)(**fields)


def _value(old: Any, new: Any) -> Any:
    if new is None or new == "" or new == ():
        return old
    if isinstance(new, msgspec.Struct):
        return _struct(old, new)
    if isinstance(new, Mapping):
        return {**old, **new}
    if isinstance(new, tuple) and old and _key(new[0]) is not None:
        return _entries(old, new)
    return new


def _entries(old: Sequence[Any], new: Sequence[Any]) -> tuple[Any, ...]:
    entries = {_key(each): each for each in old}
    for each in new:
        key = _key(each)
        entries[key] = _struct(entries[key], each) if key in entries else each
    return tuple(entries.values())


def _key(entry: object) -> tuple[object, ...] | None:
    """What an entry is about; None for those whose place in the list counts."""
    if isinstance(entry, WeightDevice | ThrottleDevice):
        return (entry.major, entry.minor)
    if isinstance(entry, HugepageLimit):
        return (entry.page_size,)
    return None
