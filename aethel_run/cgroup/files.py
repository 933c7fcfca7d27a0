"""What a limit comes down to: a line written into a file of a cgroup."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Write:
    """`text` into `file`, and what it means when that file is not there."""

    file: str
    text: str
    optional: bool = False
    """Nothing is lost without the file: what is asked for is so anyway."""
    instead: Write | None = None
    """To be written where the file is missing."""

    @property
    def controller(self) -> str:
        """Whose file it is."""
        return self.file.partition(".")[0]
