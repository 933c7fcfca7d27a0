"""The root of config.json. config.md"""

from __future__ import annotations

from collections.abc import Mapping

from aethel_run.spec.document import Document
from aethel_run.spec.hooks import Hooks
from aethel_run.spec.linux import Linux
from aethel_run.spec.mounts import Mount
from aethel_run.spec.process import Process


class Root(Document, frozen=True, kw_only=True):
    """The container's root file system. config.md#root"""

    path: str
    readonly: bool = False


class Spec(Document, frozen=True, kw_only=True):
    """A whole document. Without a `process` a container can be created, and never started."""

    oci_version: str
    process: Process | None = None
    root: Root
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    hooks: Hooks = Hooks()
    annotations: Mapping[str, str] = {}
    linux: Linux = Linux()
