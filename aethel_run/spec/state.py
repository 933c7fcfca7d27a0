"""The state of a container, as hooks read it and `state` prints it. runtime.md#state"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from aethel_run.spec.document import Document
from aethel_run.status import Status


class State(Document, frozen=True, kw_only=True, omit_defaults=False):
    """`pid`: of the container's first process, as its reader sees it; 0 when there is none."""

    oci_version: str
    id: str
    status: Status
    pid: int = 0
    bundle: str
    annotations: Mapping[str, str] = {}

    def at(self, status: Status, pid: int | None = None) -> State:
        """The same container at another moment."""
        return msgspec.structs.replace(self, status=status, pid=self.pid if pid is None else pid)


NOBODY = State(oci_version="1.3.0", id="", status=Status.CREATING, bundle="/")
"""Of a container that no hook asks about."""
