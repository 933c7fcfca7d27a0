"""What the parent and the container's init say to each other, over one SOCK_SEQPACKET pair.

    parent                              init
    ------                              ----
    clone3 ------------------------>    waits
    id maps, oom score
    Go + rootfs and bind sources --->   set-up steps
              <---------------------    Console + pty master     (with a terminal)
              <---------------------    Ready | Failed
    Start -------------------------->   last steps, execve
              <---------------------    end of file: execve closed the socket | Failed

A parent that dies closes the socket too, and init, which waits at Go or Start, ends.
"""

from __future__ import annotations

import msgspec

from aethel_common.errors import AethelError, CannotExecute, CommandNotFound, StepFailed
from aethel_run.spec.process import Process


class Go(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The maps are written; descriptors: the rootfs, then the sources of the bind mounts in `binds`' order."""

    process: Process
    binds: tuple[int, ...]
    """Indices into spec.mounts."""


class Start(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Open the gate."""


class Console(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The master of the terminal comes along."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Set up; at the gate."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Init gave up and ends. `kind` is the class of error."""

    kind: str
    step: str
    man: str
    errno: int
    text: str

    def error(self) -> AethelError:
        """What the parent raises."""
        if self.kind == CommandNotFound.__name__:
            return CommandNotFound(self.text)
        if self.kind == CannotExecute.__name__:
            return CannotExecute(self.text)
        return StepFailed(f"{self.step}: {self.text}", hint=f"see {self.man}", step=self.step, errno=self.errno)


_encode = msgspec.json.Encoder().encode
to_init = msgspec.json.Decoder(Go | Start).decode
from_init = msgspec.json.Decoder(Console | Ready | Failed).decode


def encode(message: Go | Start | Console | Ready | Failed) -> bytes:
    """For the socket."""
    return _encode(message)
