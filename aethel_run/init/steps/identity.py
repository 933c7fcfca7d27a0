"""Where it works, as whom, and with which privileges."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from aethel_common.errors import InvalidSpec
from aethel_common.linux import calls, capabilities, paths, processes
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec import privileges
from aethel_run.spec.linux import NamespaceType


@step(man="chdir(2) getcwd(3)")
def enter_working_directory(init: Init) -> None:
    """Go to the working directory, made if the image has none, and make sure that it is inside the root."""
    try:
        calls.chdir(init.process.cwd)
    except FileNotFoundError:
        os.close(paths.make_directories(_root(), init.process.cwd))
        calls.chdir(init.process.cwd)
    # A link such as /proc/self/fd/7 may have led out; getcwd then has no path to tell (CVE-2024-21626).
    if not os.getcwd().startswith("/"):
        raise InvalidSpec(f"process.cwd: {init.process.cwd} leads out of the container")


def _root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


@step(man="umask(2)")
def set_umask(init: Init) -> None:
    """Set the mode bits that new files lack."""
    mask = init.process.user.umask
    calls.umask(0o022 if mask is None else mask)


@step(
    man="capabilities(7) prctl(2)",
    when=lambda init: init.process.capabilities is not None,
    only="with process.capabilities",
)
def drop_bounding_set(init: Init) -> None:
    """Take out of the bounding set what no program of the container may ever gain."""
    assert init.process.capabilities is not None
    capabilities.drop_bounding(privileges.asked(init.process.capabilities).bounding)


@step(man="setgroups(2) setresgid(2) setresuid(2)")
def set_ids(init: Init) -> None:
    """Become the user; the groups always first, or those of the caller would stay (CVE-2022-36109)."""
    user = init.process.user
    processes.set_keep_capabilities()
    set_groups((user.gid, *user.additional_gids), userns=init.has(NamespaceType.USER))
    _become(calls.setresgid, user.gid, "gid")
    _become(calls.setresuid, user.uid, "uid")


def set_groups(groups: tuple[int, ...], *, userns: bool) -> None:
    """Set the supplementary groups, the user's own among them: otherwise a program could shed what is denied to it.

    Raises InvalidSpec for one that is not mapped.
    """
    try:
        calls.setgroups(tuple(dict.fromkeys(groups)))
    except PermissionError:
        # Init has every capability in a user namespace, so it is the namespace that denies setgroups: its owner has no
        # privileges outside and mapped but its own ids. The caller's groups stay, as ids without a name.
        if not userns:
            raise
    except OSError as error:
        raise _unmapped(error, "gid and additionalGids", ", ".join(map(str, groups))) from error


def _become(setres: Callable[[int, int, int], None], number: int, field: str) -> None:
    try:
        setres(number, number, number)
    except OSError as error:
        raise _unmapped(error, field, str(number)) from error


def _unmapped(error: OSError, field: str, ids: str) -> OSError | InvalidSpec:
    if error.errno != errno.EINVAL:
        return error
    return InvalidSpec(f"process.user.{field}: {ids}: not mapped in the user namespace")


@step(
    man="capset(2) capabilities(7)",
    when=lambda init: init.process.capabilities is not None,
    only="with process.capabilities",
)
def set_capabilities(init: Init) -> None:
    """Set the five sets, as far as they can be given; for a user who is not root only what is ambient outlives execve."""
    assert init.process.capabilities is not None
    wanted = privileges.asked(init.process.capabilities)
    bounding = capabilities.bounding() if wanted.inheritable else 0  # nothing else depends on it now
    granted = privileges.grantable(wanted, permitted=capabilities.capget().permitted, bounding=bounding)
    capabilities.capset(effective=granted.effective, permitted=granted.permitted, inheritable=granted.inheritable)
    capabilities.set_ambient(granted.ambient)
