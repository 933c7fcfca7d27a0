"""Which of the capabilities that a document asks for can be given. config.md#linux-process, man 7 capabilities

The specification wants a warning, not an error, for what cannot be: a runtime in a machine with fewer privileges still
runs the documents of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from aethel_common.linux import capabilities
from aethel_common.linux.capabilities import Capability
from aethel_run.spec.process import Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """The five sets, as bit masks."""

    bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: int


def asked(sets: Capabilities) -> Masks:
    """What the document says; a name of a later kernel is one that this one cannot give."""
    return Masks(
        **{
            field.name: capabilities.mask(
                Capability[name] for name in getattr(sets, field.name) if name in Capability.__members__
            )
            for field in fields(Masks)
        }
    )


def grantable(wanted: Masks, *, permitted: int, bounding: int) -> Masks:
    """The part of it that capset(2) and prctl(2) grant a process with this permitted and this bounding set."""
    given = wanted.permitted & permitted
    inheritable = wanted.inheritable & permitted & wanted.bounding & bounding
    return Masks(
        bounding=wanted.bounding & bounding,
        effective=wanted.effective & given,
        permitted=given,
        inheritable=inheritable,
        ambient=wanted.ambient & given & inheritable,
    )


def withheld(wanted: Masks, granted: Masks) -> Iterator[tuple[str, Capability]]:
    """Set and capability, for each that was asked for and is not granted."""
    for field in fields(Masks):
        missing = getattr(wanted, field.name) & ~getattr(granted, field.name)
        yield from ((field.name, capability) for capability in Capability if missing >> capability & 1)
