"""The root of config.json. config.md"""

from __future__ import annotations

from collections.abc import Mapping

from aethel_run.spec.linux import Linux
from aethel_run.spec.mounts import Mount
from aethel_run.spec.process import Document, Process


class Root(Document, frozen=True, kw_only=True):
    """The container's root file system. config.md#root"""

    path: str
    readonly: bool = False


class Spec(Document, frozen=True, kw_only=True):
    """A whole document."""

    oci_version: str
    process: Process
    root: Root = Root(path="rootfs")
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    annotations: Mapping[str, str] = {}
    linux: Linux = Linux()
