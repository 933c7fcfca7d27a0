"""Where it works, as whom, and with which privileges."""

from __future__ import annotations

import os
import resource

from aethel_common.errors import InvalidSpec
from aethel_common.linux import capabilities, paths, processes
from aethel_common.linux.capabilities import Capability
from aethel_run.init.context import Init
from aethel_run.init.step import step


@step(man="setrlimit(2)", when=lambda init: bool(init.process.rlimits))
def set_rlimits(init: Init) -> None:
    """Set the resource limits."""
    for limit in init.process.rlimits:
        try:
            resource.setrlimit(getattr(resource, limit.type), (_limit(limit.soft), _limit(limit.hard)))
        except (ValueError, OverflowError) as error:
            raise InvalidSpec(f"process.rlimits: {limit.type}: {error}") from error


def _limit(value: int) -> int:
    """The document counts without a sign, so that its infinity is 2**64 - 1; Python's is -1."""
    return resource.RLIM_INFINITY if value == 2**64 - 1 else value


@step(man="chdir(2) getcwd(3)")
def enter_working_directory(init: Init) -> None:
    """Go to the working directory, made if the image has none, and make sure that it is inside the root."""
    try:
        os.chdir(init.process.cwd)
    except FileNotFoundError:
        os.close(paths.make_directories(_root(), init.process.cwd))
        os.chdir(init.process.cwd)
    # A link such as /proc/self/fd/7 may have led out; getcwd then has no path to tell (CVE-2024-21626).
    if not os.getcwd().startswith("/"):
        raise InvalidSpec(f"process.cwd: {init.process.cwd} leads out of the container")


def _root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


@step(man="umask(2)")
def set_umask(init: Init) -> None:
    """Set the mode bits that new files lack."""
    mask = init.process.user.umask
    os.umask(0o022 if mask is None else mask)


@step(man="capabilities(7) prctl(2)", when=lambda init: init.process.capabilities is not None)
def drop_bounding_set(init: Init) -> None:
    """Take out of the bounding set what no program of the container may ever gain."""
    assert init.process.capabilities is not None
    capabilities.drop_bounding(_mask(init.process.capabilities.bounding))


@step(man="setgroups(2) setresgid(2) setresuid(2)")
def set_ids(init: Init) -> None:
    """Become the user; the groups always first, or those of the caller would stay (CVE-2022-36109)."""
    user = init.process.user
    processes.set_keep_capabilities()
    os.setgroups(user.additional_gids or (user.gid,))
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


@step(man="capset(2) capabilities(7)", when=lambda init: init.process.capabilities is not None)
def set_capabilities(init: Init) -> None:
    """Set the five sets; for a user who is not root only what is ambient outlives execve."""
    sets = init.process.capabilities
    assert sets is not None
    capabilities.capset(
        effective=_mask(sets.effective), permitted=_mask(sets.permitted), inheritable=_mask(sets.inheritable)
    )
    capabilities.set_ambient(_mask(sets.ambient))


def _mask(names: tuple[str, ...]) -> int:
    return capabilities.mask(Capability[name] for name in names)
