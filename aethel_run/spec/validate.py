"""Check a document: every rule between its fields. What they say is in `rules`."""

from __future__ import annotations

import re
from typing import Final

from aethel_common.errors import InvalidSpec
from aethel_run.spec.config import Spec
from aethel_run.spec.rules import filesystem, isolation
from aethel_run.spec.rules import process as of_process

_VERSION: Final = re.compile(r"1\.[0-9]+\.[0-9]+([-+].*)?")


def check(spec: Spec) -> None:
    """Apply every rule. Raises InvalidSpec for the first that is broken."""
    for rule in (version_is_one, names_are_whole, hooks_are_programs, *filesystem.RULES, *isolation.RULES):
        rule(spec)
    if spec.process is not None:
        of_process.check(spec.process)


def warnings(spec: Spec) -> list[str]:
    """What is strange and yet no reason to refuse, a line each."""
    if spec.process is None:
        return []
    return [f"process.capabilities: {name} is unknown here" for name in of_process.unknown_capabilities(spec.process)]


def version_is_one(spec: Spec) -> None:
    """Major version 1 of a semantic version; a later minor one only adds. config.md#specification-version"""
    if not _VERSION.fullmatch(spec.oci_version):
        raise InvalidSpec(f"ociVersion: {spec.oci_version!r} is not 1.x.y")


def names_are_whole(spec: Spec) -> None:
    """Host and domain name without NUL; annotations have keys. config.md#annotations"""
    if "\0" in spec.hostname + spec.domainname:
        raise InvalidSpec("hostname and domainname: hold a NUL byte")
    if "" in spec.annotations:
        raise InvalidSpec("annotations: a key is empty")


def hooks_are_programs(spec: Spec) -> None:
    """An absolute path, and a time that is one. config.md#posix-platform-hooks"""
    hooks = spec.hooks
    for name in hooks.__struct_fields__:
        for index, hook in enumerate(getattr(hooks, name)):
            where = f"hooks.{hooks.__struct_encode_fields__[hooks.__struct_fields__.index(name)]}[{index}]"
            if not hook.path.startswith("/"):
                raise InvalidSpec(f"{where}.path: {hook.path!r} is not absolute")
            if hook.timeout is not None and hook.timeout <= 0:
                raise InvalidSpec(f"{where}.timeout: {hook.timeout} is not more than 0")
