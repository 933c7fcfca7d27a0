"""The default filter of a container denies by default."""

from __future__ import annotations

from tests.harness.daemon import Daemon


def test_a_filter_is_in_force(daemon: Daemon) -> None:
    """Mode 2 of `Seccomp:` is a filter, man 5 proc; a new user namespace is what the default capabilities do not give."""
    done = daemon.shell(
        "grep ^Seccomp: /proc/self/status; unshare -U true || echo refused; date >/dev/null && echo fine"
    )
    assert done.out.split() == ["Seccomp:", "2", "refused", "fine"]
    assert "Operation not permitted" in done.err
