"""The monitor's child that makes the container, tells the daemon, opens the gate, and ends.

A process of its own because of what it costs: setting up a container writes to some megabytes that are shared with the
launcher until then, and what is written is copied. They go with the creator; the monitor, which stays as long as the
container, has touched next to nothing.

    monitor                             creator
    -------                             -------
    fork -------------------------->    wait for a launch
                                        create; init is born as the monitor's child
              <---------------------    Handover + listener, pidfd and streams
    supervise
    Ready | Failed ---------------->    tell the daemon Created, wait for Start, open the gate
              <---------------------    Begun
    reap                                exit

A creator that ends without Begun has undone its part; the monitor then has nothing to do and ends too.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from aethel_common import fdsocket, jsonfile
from aethel_common.errors import Unavailable, Unsupported, WrongState
from aethel_common.linux import processes
from aethel_common.process import is_alive, start_time
from aethel_common.undo import Undo
from aethel_d.monitor import plan, protocol, rootfs, users
from aethel_d.monitor.border import told
from aethel_d.monitor.handover import BEGUN, READY, Handover
from aethel_d.monitor.streams import Pipes
from aethel_run import story
from aethel_run.cgroup.making import make_cgroup
from aethel_run.cgroup.managers.cgroupfs import Cgroupfs
from aethel_run.cgroup.tree import Cgroup
from aethel_run.init import trees
from aethel_run.lifecycle.create import Created, CreateOptions, create
from aethel_run.process import elsewhere, filters
from aethel_run.seccomp.profile import default_profile
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.load import decode, encode
from aethel_run.spec.process import Process
from aethel_run.spec.state import State
from aethel_run.spec.template import DEFAULT_CAPABILITIES, default_spec
from aethel_run.status import Status

_FIGURES: Final = frozenset({"cpu", "io", "memory", "pids"})
"""Controllers whose figures people ask for, whether or not anything is limited."""


def run(launches: socket.socket, monitor: socket.socket, monitor_pid: int) -> int:
    """Wait for a launch, make its container and see it begin; return the exit status of this process.

    When it fails, everything is undone before the daemon is told.
    """
    processes.set_process_name("aethel:creator")
    _rehearse()
    hello = protocol.Hello(pid=monitor_pid, start_time=start_time(monitor_pid))
    message, fds = fdsocket.receive(launches)
    if not message:
        return 0  # the launcher ended, and nobody ever asked
    launch = protocol.from_daemon(message)
    assert isinstance(launch, protocol.Launch)
    with socket.socket(fileno=fds[0]) as conversation:
        protocol.tell(conversation, hello)
        return told(lambda: _make(_Creation(launch, conversation, monitor, hello)), conversation)


def _rehearse() -> None:
    """Do now what needs no container: the memory that it writes to is copied for us, and the usual filter is compiled.

    Milliseconds less when a container waits.
    """
    decode(encode(default_spec()))
    machine = os.uname().machine
    with suppress(Unsupported):
        filters.of_profile(default_profile(frozenset(DEFAULT_CAPABILITIES), machine), machine)


def _make(creation: _Creation) -> None:
    creation.open_log()
    with Undo() as undo, _telling(creation.launch.story):
        creation.create(undo)
        creation.hand_over()
        creation.begin()
        undo.keep()
    fdsocket.send(creation.monitor, BEGUN)


@contextmanager
def _telling(path: str) -> Iterator[None]:
    """Append the story to that file while the block lasts, if it was asked for."""
    if not path:
        yield
        return
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        with story.listening(story.Teller(fd, "json", story.encode, plan.PLACES)):
            yield
    finally:
        os.close(fd)


@dataclass(slots=True)
class _Creation:
    """What the creator holds of the container."""

    launch: protocol.Launch
    conversation: socket.socket
    monitor: socket.socket
    hello: protocol.Hello
    log_fd: int = field(init=False)
    listener: socket.socket = field(init=False)
    created: Created = field(init=False)
    pipes: Pipes | None = None
    shares_pids: bool = False

    @property
    def bundle(self) -> Path:
        """The OCI bundle, with the files that tell others about this run."""
        return Path(self.launch.bundle)

    def open_log(self) -> None:
        """Have what we write to stderr in monitor.log: the daemon's own may be a pipe whose reader waits for its end."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self.log_fd = os.open(f"{self.launch.bundle}/monitor.log", flags, 0o600)
        os.dup2(self.log_fd, 2)

    def create(self, undo: Undo) -> None:
        """Set everything up, and stop just before the user's program."""
        with open(self.bundle / "config.json", "rb") as file:
            spec = decode(file.read())
        plan.leave_mounts()
        cgroup = Cgroup(Path(self.launch.cgroup))
        make_cgroup(lambda: Cgroupfs(cgroup, accounting=_FIGURES).make(spec.linux.resources))
        undo.later(cgroup.remove)
        if spec.process is None or not spec.process.terminal:
            self.pipes = Pipes.make(open_stdin=self.launch.open_stdin)
        self._check_donors()
        self.created = create(
            spec,
            CreateOptions(
                cgroup=cgroup,
                open_rootfs=self._open_rootfs,
                clone_source=self._clone_source,
                stdio=self.pipes.inside if self.pipes else None,
                namespaces_ready=self._offer_network,
                final_process=self._with_identity,
                without=frozenset(self.launch.without),
                state=self._state(spec),
                meanwhile=lambda: self._listen(undo),
                as_sibling=True,  # the monitor reaps it, long after us
            ),
        )
        undo.later(self.created.abandon)
        self._check_donors()  # again: what was found under their numbers in /proc was theirs, then
        self.shares_pids = not spec.linux.makes(NamespaceType.PID)
        if self.pipes:
            self.pipes.close_inside()
        if self.launch.wired:
            self._expect(protocol.Wired)

    def _state(self, spec: Spec) -> State:
        """What hooks would be told."""
        return State(
            oci_version=spec.oci_version,
            id=self.launch.container_id,
            status=Status.CREATING,
            bundle=self.launch.bundle,
            annotations=spec.annotations,
        )

    def hand_over(self) -> None:
        """Give the monitor what it needs, and wait until it listens. Raises its error, or Unavailable when it is gone."""
        try:
            self._handover().send(self.monitor)
            answer, _ = fdsocket.receive(self.monitor)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        if not answer:
            raise Unavailable("the container's monitor died while it was being set up", hint="see monitor.log")
        if answer != READY:
            failed = protocol.from_monitor(answer)
            assert isinstance(failed, protocol.Failed)
            raise failed.error()

    def _handover(self) -> Handover:
        return Handover(
            bundle=self.launch.bundle,
            log=self.launch.log,
            cgroup=self.launch.cgroup,
            shares_pids=self.shares_pids,
            monitor_log=self.log_fd,
            listener=self.listener.fileno(),
            pidfd=self.created.pidfd,
            console=self.created.console_fd,
            stdin=self.pipes.stdin if self.pipes else None,
            stdout=self.pipes.stdout if self.pipes else None,
            stderr=self.pipes.stderr if self.pipes else None,
        )

    def begin(self) -> None:
        """Wait until the daemon says Start; then let the program begin."""
        protocol.tell(self.conversation, protocol.Created(pid=self.created.pid, start_time=self.created.start_time))
        self._expect(protocol.Start)
        # The facts come first: a daemon that dies now finds them, and a container that runs is never unknown.
        started_ns = time.time_ns()
        jsonfile.replace(
            self.bundle / "run.json",
            protocol.RunState(
                monitor_pid=self.hello.pid,
                monitor_start_time=self.hello.start_time,
                init_pid=self.created.pid,
                init_start_time=self.created.start_time,
                started_ns=started_ns,
            ),
        )
        try:
            self.created.start()
        except BaseException:
            (self.bundle / "run.json").unlink()
            raise
        protocol.tell(self.conversation, protocol.Running(started_ns=started_ns))

    def _listen(self, undo: Undo) -> None:
        path = self.bundle / "monitor.sock"
        self.listener = fdsocket.listen(path)
        undo.later(path.unlink)

    def _open_rootfs(self, userns_fd: int | None) -> int:
        launch = self.launch
        return rootfs.open_overlay(launch.layers, launch.lower, launch.upper, launch.work, userns_fd)

    def _check_donors(self) -> None:
        for donor in self.launch.donors:
            if not is_alive(donor.pid, donor.start_time):
                raise WrongState(f"container {donor.name} has ended, and its namespaces with it")

    def _clone_source(self, path: str, *, recursive: bool) -> int:
        """A mount that a container shares with us is in its mount namespace, and found from its first process."""
        for donor in self.launch.donors:
            root = f"/proc/{donor.pid}/root"
            if path.startswith(f"{root}/"):
                return elsewhere.clone_from(donor.pid, path.removeprefix(root))
        return trees.clone(path, recursive=recursive)

    def _offer_network(self, pid: int) -> None:
        if self.launch.wired:
            plan.offer_network(self.conversation, pid)

    def _with_identity(self, root_fd: int, process: Process) -> Process:
        identity = users.resolve(self.launch.user, root_fd)
        groups = dict.fromkeys((*identity.groups, *users.groups(self.launch.groups, root_fd)))
        user = msgspec.structs.replace(process.user, uid=identity.uid, gid=identity.gid, additional_gids=tuple(groups))
        env = process.env
        if not any(entry.startswith("HOME=") for entry in env):
            env = (*env, f"HOME={identity.home}")
        return msgspec.structs.replace(process, user=user, env=env)

    def _expect(self, kind: type[protocol.Message]) -> None:
        message, _ = fdsocket.receive(self.conversation)
        if not message:
            raise Unavailable("the daemon went away while the container was being made")
        received = protocol.from_daemon(message)
        assert isinstance(received, kind), f"expected {kind.__name__}, got {received}"
