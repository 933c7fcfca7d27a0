"""Make several things, or none."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType


class Undo:
    """Undo what was made, newest first, unless all of it stands.

        with Undo() as undo:
            directory.mkdir()
            undo.later(directory.rmdir)
            ...
            undo.keep()

    A failing undo becomes a note on the first error, and the others still run: that, not more, is what differs from
    `contextlib.ExitStack`.
    """

    def __init__(self) -> None:
        self._actions: list[Callable[[], object]] = []

    def later(self, action: Callable[[], object]) -> None:
        """Call `action` if the block does not reach `keep`."""
        self._actions.append(action)

    def keep(self) -> None:
        """All of it stands: forget the undoing."""
        self._actions.clear()

    def __enter__(self) -> Undo:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failures: list[Exception] = []
        while self._actions:
            action = self._actions.pop()
            try:
                action()
            except Exception as failure:  # noqa: BLE001 -- the rest must still be undone
                failures.append(failure)
        if error is None and failures:
            raise ExceptionGroup("undo failed", failures)
        for problem in failures:
            assert error is not None
            error.add_note(f"while undoing: {problem}")
