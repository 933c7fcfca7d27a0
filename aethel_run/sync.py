"""What the parent and the container's init say to each other, over one SOCK_SEQPACKET pair.

    parent                              init
    ------                              ----
    clone3 ------------------------>    waits
    id maps, oom score
    Go + rootfs and bind sources --->   set-up steps
              <---------------------    Console + pty master     (with a terminal)
              <---------------------    HooksPlease              (with prestart or createRuntime hooks)
    runs them; HooksDone ----------->
              <---------------------    Ready | Failed
    Start -------------------------->   last steps
              <---------------------    Listener                 (with a seccomp agent)
    sends it there; ListenerGiven -->   execve
              <---------------------    end of file: execve closed the socket | Failed

A parent that dies closes the socket too, and init, which waits at Go or Start, ends. Where the container is to outlive
its parent before it is started, init waits at a gate instead: it accepts one connection on a listening socket, and
whoever made it says Start.
"""

from __future__ import annotations

import msgspec

from aethel_common.errors import AethelError, CannotExecute, CommandNotFound, StepFailed
from aethel_run.spec.process import Process
from aethel_run.spec.state import State


class Go(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The maps are written; descriptors: the rootfs, then the sources of the bind mounts in `binds`' order.

    What the parent has no privilege to open, init opens itself: the rootfs by `own_root`, and binds that are not listed.
    """

    process: Process
    binds: tuple[int, ...]
    """Indices into spec.mounts."""
    own_root: str = ""
    state: State
    """What hooks inside are told; its pid is the one that the host knows."""


class Start(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Open the gate. With a `story` (`text` or `json`) comes the descriptor that init tells of its last steps to."""

    story: str = ""


class HooksDone(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The hooks of the host's side went well."""


class Cloned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the stage: init exists, its pidfd comes along."""


class Console(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The master of the terminal comes along."""


class HooksPlease(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Everything is mounted, nothing pivoted: time for the hooks of the host's side."""


class Listener(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A filter with SCMP_ACT_NOTIFY is in force; its listener is that descriptor of init, to be given to the agent."""

    fd: int


class ListenerGiven(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The agent has it."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Set up; at the gate."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Init gave up and ends. `kind` is the class of error."""

    kind: str
    step: str
    man: str
    errno: int
    text: str

    @classmethod
    def of_os(cls, step: str, man: str, error: OSError) -> Failed:
        """A refusal of the kernel."""
        text = str(error).partition("] ")[2] or str(error)
        return cls(kind=StepFailed.__name__, step=step, man=man, errno=error.errno or 0, text=text)

    @classmethod
    def of(cls, step: str, man: str, error: AethelError) -> Failed:
        """An error of ours."""
        return cls(kind=type(error).__name__, step=step, man=man, errno=0, text=error.message)

    def error(self) -> AethelError:
        """What the parent raises."""
        for kind in (CommandNotFound, CannotExecute):
            if self.kind == kind.__name__:
                return kind(self.text)
        return StepFailed(f"{self.step}: {self.text}", hint=f"see {self.man}", step=self.step, errno=self.errno)


_encode = msgspec.json.Encoder().encode
ToInit = Go | Start | HooksDone | ListenerGiven
FromInit = Cloned | Console | HooksPlease | Listener | Ready | Failed
to_init = msgspec.json.Decoder(ToInit).decode
from_init = msgspec.json.Decoder(FromInit).decode


def encode(message: ToInit | FromInit) -> bytes:
    """For the socket."""
    return _encode(message)
