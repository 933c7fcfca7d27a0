"""run ID: create, start, wait, delete; or, detached, the first two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aethel_common.linux import processes
from aethel_run.operations import create as creating
from aethel_run.operations import delete, foreground
from aethel_run.operations.create import Options
from aethel_run.operations.start import start
from aethel_run.state import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to run it."""

    detach: bool = False
    keep: bool = False
    subreaper: bool = True


def run(
    store: Store, container_id: str, bundle: Path, options: Options, manner: Manner, warn: Callable[[str], None]
) -> int:
    """The program's status; 0 when detached. A container that did not start is not left behind."""
    if manner.subreaper and not manner.detach:
        processes.set_child_subreaper()
    container, created = creating.prepare(store, container_id, bundle, options, warn, foreground=not manner.detach)
    try:
        start(container)
    except BaseException:
        created.abandon()
        delete.delete(container, warn, force=True)
        raise
    if manner.detach:
        created.release()
        return 0
    code = foreground.wait(created.pidfd, None if options.console_socket else created.console_fd)
    if not manner.keep:
        delete.delete(container, warn)
    return code
