"""Do something inside another network namespace. man 7 network_namespaces"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from aethel_common.linux import namespaces
from aethel_common.linux.namespaces import CloneFlags

T = TypeVar("T")


def inside(netns_fd: int, function: Callable[[], T]) -> T:
    """Run `function` in that namespace and return what it returns. man 2 setns

    On a thread of its own: the namespace belongs to the thread, and one that ends cannot forget to go back.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def visit() -> None:
        try:
            namespaces.setns(netns_fd, CloneFlags.NEWNET)
            results.append(function())
        except BaseException as error:  # noqa: BLE001 -- raised again in the caller's thread
            failures.append(error)

    visitor = threading.Thread(target=visit, name="netns-visit")
    visitor.start()
    visitor.join()
    if failures:
        raise failures[0]
    return results[0]
