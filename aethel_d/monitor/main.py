"""A monitor's life, top to bottom: leave the launcher, create the container, supervise it, say how it ended."""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from aethel_common import fdsocket, jsonfile
from aethel_common.errors import AethelError, Unavailable, WrongState, from_os
from aethel_common.linux import mounts, namespaces, processes
from aethel_common.linux.mounts import MountFlags
from aethel_common.linux.namespaces import CloneFlags
from aethel_common.process import is_alive, start_time
from aethel_common.undo import Undo
from aethel_d.monitor import protocol, rootfs, users
from aethel_d.monitor.logfile import LogFile
from aethel_d.monitor.streams import Pipes
from aethel_d.monitor.supervisor import Supervisor
from aethel_run.cgroup.managers.cgroupfs import Cgroupfs
from aethel_run.cgroup.tree import Cgroup
from aethel_run.init import trees
from aethel_run.lifecycle.create import Created, CreateOptions, create
from aethel_run.process import elsewhere
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.load import decode
from aethel_run.spec.process import Process

_KILL_SECONDS: Final = 5.0
_FIGURES: Final = frozenset({"cpu", "io", "memory", "pids"})
"""Controllers whose figures people ask for, whether or not anything is limited."""


def run(launch: protocol.Launch, conversation: socket.socket) -> int:
    """Be the monitor of one container; return the exit status of this process.

    Everything that goes wrong before the container runs is undone and told to the daemon; afterwards nobody is left to
    tell, and it is written to monitor.log.
    """
    _leave_the_launcher(launch)
    try:
        try:
            _live(launch, conversation)
        except OSError as error:
            raise from_os(error, f"monitor of {launch.container_id[:12]}") from error
    except AethelError as error:
        traceback.print_exc()
        _tell(conversation, protocol.Failed.of(error))
        return 1
    except Exception as error:  # noqa: BLE001 -- the border of the process
        traceback.print_exc()
        _tell(conversation, protocol.Failed(kind="AethelError", message=f"monitor: {error!r}"))
        return 1
    return 0


def _leave_the_launcher(launch: protocol.Launch) -> None:
    gc.freeze()
    os.setsid()
    processes.set_process_name("aethel:monitor")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    log = os.open(f"{launch.bundle}/monitor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for fd, source in ((0, null), (1, null), (2, log)):
        # The daemon's own stderr may be a pipe whose reader waits for its end.
        os.dup2(source, fd)
    os.close(null)
    os.close(log)


def _live(launch: protocol.Launch, conversation: socket.socket) -> None:
    _tell(conversation, protocol.Hello(pid=os.getpid(), start_time=start_time(os.getpid())))
    with open(f"{launch.bundle}/config.json", "rb") as file:
        spec = decode(file.read())
    container = _Container(launch, spec, conversation)
    with Undo() as undo:
        container.create(undo)
        container.await_start()
        undo.keep()
    container.supervise()


@dataclass(slots=True)
class _Container:
    """What the monitor holds of its container."""

    launch: protocol.Launch
    spec: Spec
    conversation: socket.socket
    created: Created = field(init=False)
    listener: socket.socket = field(init=False)
    pipes: Pipes | None = None
    supervisor: Supervisor = field(init=False)

    @property
    def bundle(self) -> Path:
        """The OCI bundle, with the files that tell others about this run."""
        return Path(self.launch.bundle)

    @property
    def cgroup(self) -> Cgroup:
        """Where all its processes are."""
        return Cgroup(Path(self.launch.cgroup))

    # -- before the program runs -----------------------------------------------------------------

    def create(self, undo: Undo) -> None:
        """Set everything up, and stop just before the user's program."""
        self._unshare_mounts()
        Cgroupfs(self.cgroup, accounting=_FIGURES).make(self.spec.linux.resources)
        undo.later(self.cgroup.remove)
        self._make_pipes(undo)
        self._check_donors()
        self.created = create(
            self.spec,
            CreateOptions(
                cgroup=self.cgroup,
                open_rootfs=self._open_rootfs,
                clone_source=self._clone_source,
                stdio=self.pipes.inside if self.pipes else None,
                namespaces_ready=self._offer_network,
                final_process=self._with_identity,
            ),
        )
        undo.later(self.created.abandon)
        self._check_donors()  # again: their files in /proc were theirs, then
        if self.pipes:
            self.pipes.close_inside()
        if self.launch.wired:
            self._expect(protocol.Wired)
        self.listener = fdsocket.listen(self.bundle / "monitor.sock")
        undo.later((self.bundle / "monitor.sock").unlink)
        self.supervisor = Supervisor(
            pidfd=self.created.pidfd,
            listener=self.listener,
            log=LogFile(self.launch.log),
            pipes=self.pipes,
            console_fd=self.created.console_fd,
            on_exit=self._exited,
        )

    def await_start(self) -> None:
        """Answer clients until the daemon says Start; then let the program begin."""
        started: list[bool] = []

        def start() -> None:
            self._expect(protocol.Start)
            self._start()
            self.supervisor.loop.remove(self.conversation.fileno())
            started.append(True)

        self.supervisor.loop.add(self.conversation.fileno(), start)
        created = self.created
        _tell(self.conversation, protocol.Created(pid=created.pid, start_time=created.start_time))
        self.supervisor.loop.run(lambda: bool(started))
        self.conversation.close()

    def _start(self) -> None:
        # The facts come first: a daemon that dies now finds them, and a container that runs is never unknown.
        started_ns = time.time_ns()
        jsonfile.replace(
            self.bundle / "run.json",
            protocol.RunState(
                monitor_pid=os.getpid(),
                monitor_start_time=start_time(os.getpid()),
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
        _tell(self.conversation, protocol.Running(started_ns=started_ns))

    def _unshare_mounts(self) -> None:
        namespaces.unshare(CloneFlags.NEWNS)
        # Ours stay ours; what the host unmounts goes here too, so that we pin nothing ("device or resource busy").
        mounts.mount(None, "/", None, MountFlags.REC | MountFlags.SLAVE, None)

    def _check_donors(self) -> None:
        for donor in self.launch.donors:
            if not is_alive(donor.pid, donor.start_time):
                raise WrongState(f"container {donor.name} has ended, and its namespaces with it")

    def _make_pipes(self, undo: Undo) -> None:
        if self.spec.process is not None and self.spec.process.terminal:
            return
        self.pipes = Pipes.make(open_stdin=self.launch.open_stdin)
        undo.later(self.pipes.close_outside)

    def _open_rootfs(self, userns_fd: int | None) -> int:
        launch = self.launch
        return rootfs.open_overlay(launch.layers, launch.lower, launch.upper, launch.work, userns_fd)

    def _clone_source(self, path: str, *, recursive: bool) -> int:
        """A mount that a container shares with us is in its mount namespace, and found from its first process."""
        for donor in self.launch.donors:
            root = f"/proc/{donor.pid}/root"
            if path.startswith(f"{root}/"):
                return elsewhere.clone_from(donor.pid, path.removeprefix(root))
        return trees.clone(path, recursive=recursive)

    def _offer_network(self, pid: int) -> None:
        if not self.launch.wired:
            return
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fdsocket.send(self.conversation, protocol.encode(protocol.Cloned()), [fd])
        finally:
            os.close(fd)

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

    # -- afterwards ------------------------------------------------------------------------------

    def supervise(self) -> None:
        """Until it has ended, and those attached have had everything."""
        self.supervisor.run()

    def _exited(self, result: os.waitid_result) -> None:
        """Write down how it ended, before anyone is told."""
        if not self.spec.linux.makes(NamespaceType.PID):
            self._end_the_rest()
        signal_number = 0 if result.si_code == os.CLD_EXITED else result.si_status
        jsonfile.replace(
            self.bundle / "exit.json",
            protocol.ExitState(
                code=128 + signal_number if signal_number else result.si_status,
                signal=signal_number,
                finished_ns=time.time_ns(),
                oom_killed=self.cgroup.oom_killed(),
            ),
        )
        (self.bundle / "monitor.sock").unlink()
        self.cgroup.remove()

    def _end_the_rest(self) -> None:
        """In a PID namespace of its own the kernel does it."""
        self.cgroup.kill()
        self.cgroup.wait_empty(_KILL_SECONDS)


def _tell(conversation: socket.socket, message: protocol.Message) -> None:
    try:
        fdsocket.send(conversation, protocol.encode(message))
    except OSError:
        pass  # the daemon is gone; whoever comes next reads run.json and exit.json
