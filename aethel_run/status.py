"""What a container is doing. runtime.md#state"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """`paused` is an addition that every runtime has."""

    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
