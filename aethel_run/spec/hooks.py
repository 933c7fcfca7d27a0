"""`hooks` of config.json. config.md#posix-platform-hooks"""

from __future__ import annotations

from aethel_run.spec.document import Document


class Hook(Document, frozen=True, kw_only=True):
    """A program of the host; `args` begin with its own name, `env` is all that it gets."""

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None
    """Seconds."""


class Hooks(Document, frozen=True, kw_only=True):
    """When each runs: runtime.md#lifecycle."""

    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()
