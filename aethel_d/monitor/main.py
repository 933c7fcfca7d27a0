"""A monitor's life, top to bottom: leave the launcher, have the container created, supervise it, say how it ended."""

from __future__ import annotations

import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aethel_common import fdsocket, jsonfile
from aethel_common.errors import AethelError, from_os
from aethel_common.linux import processes
from aethel_d.monitor import creator, protocol
from aethel_d.monitor.handover import READY, Handover
from aethel_d.monitor.logfile import LogFile
from aethel_d.monitor.supervisor import Supervisor
from aethel_run.cgroup.tree import Cgroup


def run(launch: protocol.Launch, conversation: socket.socket) -> int:
    """Be the monitor of one container; return the exit status of this process.

    Everything that goes wrong before the container runs is undone and told to the daemon; afterwards nobody is left to
    tell, and it is written to monitor.log.
    """

    def live() -> None:
        _leave_the_launcher(launch)
        container = _Container(launch)
        container.have_created(conversation)
        container.supervise()

    return _told(live, launch, conversation)


def _told(life: Callable[[], None], launch: protocol.Launch, conversation: socket.socket) -> int:
    """Run `life`; tell the daemon what it raises. The exit status of this process."""
    try:
        try:
            life()
        except OSError as error:
            raise from_os(error, f"monitor of {launch.container_id[:12]}") from error
    except AethelError as error:
        traceback.print_exc()
        protocol.tell(conversation, protocol.Failed.of(error))
        return 1
    except Exception as error:  # noqa: BLE001 -- the border of the process
        traceback.print_exc()
        protocol.tell(conversation, protocol.Failed(kind="AethelError", message=f"monitor: {error!r}"))
        return 1
    return 0


def _leave_the_launcher(launch: protocol.Launch) -> None:
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


@dataclass(slots=True)
class _Container:
    """What the monitor holds of its container."""

    launch: protocol.Launch
    creator: socket.socket = field(init=False)
    creator_pid: int = field(init=False)
    supervisor: Supervisor | None = None
    begun: bool = False

    @property
    def bundle(self) -> Path:
        """The OCI bundle, with the files that tell others about this run."""
        return Path(self.launch.bundle)

    # -- before the program runs -----------------------------------------------------------------

    def have_created(self, conversation: socket.socket) -> None:
        """Fork the creator, which says all that the daemon must hear; be ready to listen when it is done."""
        ours, theirs = fdsocket.pair()
        monitor_pid = os.getpid()
        self.creator_pid = os.fork()
        if self.creator_pid == 0:
            ours.close()  # or the monitor's death would never be seen
            self._become_creator(conversation, theirs, monitor_pid)
        theirs.close()
        conversation.close()
        self.creator = ours
        listener = fdsocket.listen(self.bundle / "monitor.sock")
        handover = Handover.receive(ours)
        if handover is not None:
            self.supervisor = Supervisor(
                handover=handover, listener=listener, log=LogFile(self.launch.log), on_exit=self._exited
            )
            fdsocket.send(ours, READY)

    def _become_creator(self, conversation: socket.socket, monitor: socket.socket, monitor_pid: int) -> None:
        """Never returns: the monitor's life must not be lived twice."""
        code = 1
        try:
            code = _told(
                lambda: creator.run(self.launch, conversation, monitor, monitor_pid), self.launch, conversation
            )
        finally:
            os._exit(code)

    def _hear_creator(self) -> None:
        assert self.supervisor is not None
        message, _ = fdsocket.receive(self.creator)
        if message:
            self.begun = True
            return
        self.supervisor.loop.remove(self.creator.fileno())
        self.creator.close()
        os.waitpid(self.creator_pid, 0)
        self.creator_pid = 0

    # -- afterwards ------------------------------------------------------------------------------

    def supervise(self) -> None:
        """Until it has ended, and those attached have had everything."""
        if self.supervisor is not None:
            loop = self.supervisor.loop
            loop.add(self.creator.fileno(), self._hear_creator)
            loop.run(lambda: self.begun or not self.creator_pid)
        if self.supervisor is not None and self.begun:
            self.supervisor.run()
        else:
            (self.bundle / "monitor.sock").unlink()
            _reap_children()

    def _exited(self, result: os.waitid_result) -> None:
        """Write down how it ended, before anyone is told."""
        cgroup = Cgroup(Path(self.launch.cgroup))
        signal_number = 0 if result.si_code == os.CLD_EXITED else result.si_status
        jsonfile.replace(
            self.bundle / "exit.json",
            protocol.ExitState(
                code=128 + signal_number if signal_number else result.si_status,
                signal=signal_number,
                finished_ns=time.time_ns(),
                oom_killed=cgroup.oom_killed(),
            ),
        )
        (self.bundle / "monitor.sock").unlink()
        cgroup.remove()


def _reap_children() -> None:
    """The creator, and the init that it killed."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
