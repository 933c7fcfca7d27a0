"""Every error of ours, in one tree: a class for each decision a caller can make, not for each place that can fail.

    AethelError                 something of ours is broken
    ├── InvalidArgument         the request can never be right
    │   └── InvalidSpec         ... in an OCI document, with the JSON path
    ├── NotFound                no such container, image, ...
    ├── AlreadyExists           the name is taken
    ├── WrongState              it exists, but cannot do that now
    │   └── InUse               ... because others need it
    ├── Exhausted               no address, no space, no stream left
    ├── NotPermitted            the kernel or the daemon says no
    ├── Unavailable             a helper does not answer; may be tried again
    │   └── DaemonUnreachable   (client side) nobody listens on the socket
    ├── TimedOut                it took longer than was allowed
    ├── Unsupported             this kernel or this build lacks it
    ├── Corrupt                 what is stored is not what was stored
    ├── StepFailed              a step of a container's set-up failed
    ├── CannotExecute           the command is there but cannot be run      (exit code 126)
    └── CommandNotFound         the command is not there                    (exit code 127)

A message is one sentence that names the object, lower case, without a full stop; a hint is what to type or read next.
"""

from __future__ import annotations

import os


class AethelError(Exception):
    """Base of all. `message` says what failed, on what and why; `hint` what to do next.

    `exit_code` is what a command of the CLI ends with, unless the command is one that runs a program
    (then it is `run_exit_code`).
    """

    exit_code = 1
    run_exit_code = 125

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidArgument(AethelError):
    """The request can never be right: a bad name, signal, reference, user."""

    exit_code = 2


class InvalidSpec(InvalidArgument):
    """An OCI document breaks its specification; the message starts with the JSON path."""


class NotFound(AethelError):
    """No such container, image, volume or network."""


class AlreadyExists(AethelError):
    """The name or id is taken."""


class WrongState(AethelError):
    """The thing exists, but cannot do that now."""


class InUse(WrongState):
    """Others need it; the message lists them."""


class Exhausted(AethelError):
    """No free address, no space on the disk, no free stream."""


class NotPermitted(AethelError):
    """The kernel, or the daemon's own rule, refuses this caller."""


class Unavailable(AethelError):
    """A helper process does not answer; the same call may go through later."""


class DaemonUnreachable(Unavailable):
    """Nobody answers on the daemon's socket (raised by the client only)."""

    exit_code = 125


class TimedOut(AethelError):
    """It took longer than was allowed."""


class Unsupported(AethelError):
    """This kernel, or this build, lacks it."""


class Corrupt(AethelError):
    """What is stored is not what was stored: a digest differs, a record cannot be read."""


class StepFailed(AethelError):
    """A step of a container's set-up failed: `step` is its name, `errno` the kernel's answer (0: none)."""

    def __init__(self, message: str, *, hint: str = "", step: str = "", errno: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.errno = errno


class CannotExecute(AethelError):
    """The command was found, but it is a directory or lacks permission."""

    exit_code = run_exit_code = 126


class CommandNotFound(AethelError):
    """The command was not found inside the container."""

    exit_code = run_exit_code = 127


def subclasses(root: type[AethelError] = AethelError) -> dict[str, type[AethelError]]:
    """Every class of the tree by its name; what the sockets use to name a class."""
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(subclasses(child))
    return found


def from_os(error: OSError, doing: str) -> AethelError:
    """Turn an OSError at the border of a process into one of ours: `doing` is what was tried ("write /x").

    Disk full is `Exhausted`, a refusal is `NotPermitted`, a missing system call is `Unsupported`.
    """
    import errno as numbers

    where = f": {os.fsdecode(error.filename)}" if error.filename and isinstance(error.filename, str | bytes) else ""
    message = f"{doing}: {error.strerror or error}{where}"
    if error.errno in (numbers.ENOSPC, numbers.EDQUOT):
        return Exhausted(message, hint="free some space and try again")
    if error.errno in (numbers.EPERM, numbers.EACCES):
        return NotPermitted(message)
    if error.errno in (numbers.ENOSYS, numbers.EOPNOTSUPP):
        return Unsupported(message)
    return AethelError(message)
