"""What the daemon and a container's processes say to each other.

While a container starts, over the conversation socket that came with the launch:

    daemon                              creator
    ------                              -------
    Launch (through the launcher) --->  wakes up
              <---------------------    Hello                  who the monitor is
              <---------------------    Cloned + netns fd      (only with a network of its own)
    attach the veth                     mount the root, run the set-up steps
    Wired ------------------------->    hand over to the monitor
              <---------------------    Created                monitor.sock is answered from here on
    connect, Watch, Attach
    Start -------------------------->   open the gate
              <---------------------    Running | Failed

A daemon that dies before Start closes the socket, and the creator undoes everything. Failed may come at any time; the
creator has then undone its part, and both end. After Running the conversation is over; whoever wants more connects to
the monitor at monitor.sock, where a message starts with one byte: `J` for a document below, `0` stdin, `1` stdout, `2`
stderr for bytes.
"""

from __future__ import annotations

import socket
from typing import Final

import msgspec

from aethel_common import errors, fdsocket
from aethel_common.errors import AethelError

VERSION: Final = 1
"""Of monitor.sock; a daemon talks to monitors with this number or a lower one."""

CONTROL: Final = b"J"
STDIN: Final = b"0"
STDOUT: Final = b"1"
STDERR: Final = b"2"
CHUNK: Final = 64 * 1024
"""The most bytes of a stream in one message."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of all documents."""


class Donor(msgspec.Struct, frozen=True, kw_only=True):
    """The first process of a container whose namespaces are joined, by more than its number."""

    name: str
    pid: int
    start_time: int


class Launch(Message, frozen=True, kw_only=True):
    """All that a monitor must know besides config.json in the bundle."""

    container_id: str
    bundle: str
    log: str
    cgroup: str
    layers: str
    """The tree that holds all layers; idmapped as one."""
    lower: tuple[str, ...]
    """Relative to `layers`, the topmost first."""
    upper: str
    work: str
    user: str
    """name or uid, then optionally :group or :gid; empty: root."""
    groups: tuple[str, ...] = ()
    """Supplementary groups besides, names or numbers."""
    donors: tuple[Donor, ...] = ()
    """They must live until the container is set up, or its document leads into the namespaces of strangers."""
    open_stdin: bool
    wired: bool
    """The daemon wants the network namespace, and says Wired when it has put a network into it."""
    story: str = ""
    """A file, of the daemon's making, to append the story of the start to; empty: nobody wants it."""
    without: tuple[str, ...] = ()
    """Protections that are left out, for teaching."""


class Hello(Message, frozen=True, kw_only=True):
    """The monitor exists."""

    pid: int
    start_time: int


class Cloned(Message, frozen=True, kw_only=True):
    """The container's namespaces exist; its network namespace comes as a descriptor."""


class Wired(Message, frozen=True, kw_only=True):
    """The network is in place."""


class Created(Message, frozen=True, kw_only=True):
    """Set up, and waiting just before the user's program."""

    pid: int
    start_time: int


class Start(Message, frozen=True, kw_only=True):
    """Go."""


class Running(Message, frozen=True, kw_only=True):
    """The user's program runs."""

    started_ns: int


class Failed(Message, frozen=True, kw_only=True):
    """An AethelError, by the name of its class."""

    kind: str
    message: str
    hint: str = ""
    step: str = ""
    errno: int = 0

    @classmethod
    def of(cls, error: AethelError) -> Failed:
        """The message for an error."""
        step, number = (error.step, error.errno) if isinstance(error, errors.StepFailed) else ("", 0)
        return cls(kind=type(error).__name__, message=error.message, hint=error.hint, step=step, errno=number)

    def error(self) -> AethelError:
        """The error again."""
        kind = errors.subclasses().get(self.kind, AethelError)
        if kind is errors.StepFailed:
            return errors.StepFailed(self.message, hint=self.hint, step=self.step, errno=self.errno)
        return kind(self.message, hint=self.hint)


class Watch(Message, frozen=True, kw_only=True):
    """Tell me when it has exited."""


class Attach(Message, frozen=True, kw_only=True):
    """Send me what it writes, from now on; with `stdin`, take what I send."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


class Welcome(Message, frozen=True, kw_only=True):
    """Watch or Attach holds."""

    version: int = VERSION


class CloseStdin(Message, frozen=True, kw_only=True):
    """No more stdin will come."""


class Resize(Message, frozen=True, kw_only=True):
    """The terminal's new size, in characters."""

    rows: int
    columns: int


class Signal(Message, frozen=True, kw_only=True):
    """Send it to the container's first process."""

    number: int


class Done(Message, frozen=True, kw_only=True):
    """Signal was sent."""


class Exited(Message, frozen=True, kw_only=True):
    """The container has ended, and all it wrote is in the log; exit.json says how."""


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json` of the bundle: who watches whom, for a daemon that was away."""

    monitor_pid: int
    monitor_start_time: int
    init_pid: int
    init_start_time: int
    started_ns: int


class ExitState(msgspec.Struct, frozen=True, kw_only=True):
    """`exit.json` of the bundle: how the container ended."""

    code: int
    signal: int
    finished_ns: int
    oom_killed: bool


FromDaemon = Launch | Wired | Start
FromMonitor = Hello | Cloned | Created | Running | Failed
FromClient = Watch | Attach | CloseStdin | Resize | Signal
ToClient = Welcome | Done | Failed | Exited

_encode = msgspec.json.Encoder().encode
from_daemon = msgspec.json.Decoder(FromDaemon).decode
from_monitor = msgspec.json.Decoder(FromMonitor).decode
from_client = msgspec.json.Decoder(FromClient).decode
to_client = msgspec.json.Decoder(ToClient).decode


def encode(message: Message) -> bytes:
    """For the conversation."""
    return _encode(message)


def tell(conversation: socket.socket, message: Message) -> None:
    """Say it to the daemon, if it is still there: whoever comes next reads run.json and exit.json."""
    try:
        fdsocket.send(conversation, encode(message))
    except OSError:
        pass


def control(message: Message) -> bytes:
    """For monitor.sock."""
    return CONTROL + _encode(message)
