"""Shell scripts in containers that the library makes, and functions in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from aethel_common.errors import AethelError
from aethel_run.lifecycle.create import CreateOptions, create
from aethel_run.lifecycle.rootfs import open_directory
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import IdMapping, Namespace, NamespaceType
from aethel_run.spec.load import decode, encode
from aethel_run.spec.template import default_spec

FULL_MAP = (IdMapping(container_id=0, host_id=100000, size=65536),)
"""The ids of a container with a user namespace."""


def spec_of(script: str, *, userns: bool, linux: dict[str, Any], process: dict[str, Any]) -> Spec:
    """The document of a plain container that runs a shell script, with what `linux` and `process` say beyond it."""
    spec = default_spec()
    assert spec.process is not None
    spec = msgspec.structs.replace(
        spec,
        process=msgspec.structs.replace(spec.process, **{"terminal": False, "args": ("sh", "-c", script), **process}),
        linux=msgspec.structs.replace(spec.linux, **linux),
    )
    if userns:
        kinds = (*spec.linux.namespaces, Namespace(type=NamespaceType.USER))
        mapped = msgspec.structs.replace(spec.linux, namespaces=kinds, uid_mappings=FULL_MAP, gid_mappings=FULL_MAP)
        spec = msgspec.structs.replace(spec, linux=mapped)
    return decode(encode(spec))


def output_of(spec: Spec, rootfs: Path) -> str:
    """What a container prints on stdout and stderr until it ends."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    with open(reading, encoding="utf-8") as output:
        try:
            options = CreateOptions(open_rootfs=open_directory(str(rootfs)), stdio=(null, writing, writing))
            created = create(spec, options)
        finally:
            os.close(null)
            os.close(writing)
        try:
            created.start()
            text = output.read()
        finally:
            created.abandon()
    return text.strip()


def open_descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


def in_child(action: Callable[[], object]) -> str:
    """What it returns, as text, in a process of its own; its error otherwise."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = str(action())
        except AethelError as error:
            text = f"{type(error).__name__}: {error.message}"
        except OSError as error:
            text = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as output:
        text = output.read()
    os.waitpid(pid, 0)
    return text
