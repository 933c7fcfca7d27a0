"""Which system calls the program may make. man 2 seccomp; config-linux.md#seccomp"""

from __future__ import annotations

import os

from aethel_common.errors import AethelError
from aethel_common.linux import capabilities, seccomp
from aethel_run import sync
from aethel_run.init.context import Init
from aethel_run.init.step import step


@step(
    man="seccomp(2)",
    when=lambda init: init.filter is not None and not init.sets_no_new_privs,
    only="with linux.seccomp and without process.noNewPrivileges",
)
def load_filter_by_privilege(init: Init) -> None:
    """Load the system call filter while the privilege to do so is still there; the steps that follow must be allowed."""
    # A change of the user id has emptied the effective set; what is permitted was kept.
    sets = capabilities.capget()
    capabilities.capset(effective=sets.permitted, permitted=sets.permitted, inheritable=sets.inheritable)
    _load(init)


@step(
    man="seccomp(2)",
    when=lambda init: init.filter is not None and init.sets_no_new_privs,
    only="with linux.seccomp and process.noNewPrivileges",
)
def load_filter(init: Init) -> None:
    """Load the system call filter, last of all: who can gain no privileges needs none for that."""
    _load(init)


def _load(init: Init) -> None:
    assert init.filter is not None
    listener = seccomp.set_mode_filter(init.filter.program, init.filter.flags)
    if listener is None:
        return
    # From here on any call may wait for the agent, who does not have the listener yet: all but write(2), of which the
    # rules see to it. The parent fetches the descriptor by its number, and says when it has given it away.
    os.write(init.sync.fileno(), sync.encode(sync.Listener(fd=listener)))
    if not os.read(init.sync.fileno(), 64):
        raise AethelError("the runtime could not give the listener away")
