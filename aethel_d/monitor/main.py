"""A monitor's life, top to bottom: stand by, have the container created, supervise it, say how it ended."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from aethel_common import fdsocket, jsonfile
from aethel_common.linux import processes
from aethel_d.monitor import creator, protocol
from aethel_d.monitor.border import told, use_log
from aethel_d.monitor.handover import READY, Handover
from aethel_d.monitor.logfile import LogFile
from aethel_d.monitor.supervisor import Supervisor
from aethel_run.cgroup.tree import Cgroup


def run(launches: socket.socket) -> int:
    """Stand by until a launch comes, then be the monitor of that container; return the exit status of this process.

    Everything that goes wrong before the container runs is undone and told to the daemon, by the creator; afterwards
    nobody is left to tell, and it is written to monitor.log.
    """
    _leave_the_launcher()
    creator_socket, creator_pid = _fork_creator(launches)
    launches.close()
    message, _ = fdsocket.receive(creator_socket)
    if not message:
        return 0  # the launcher ended, and nobody ever asked
    launch = protocol.from_daemon(message)
    assert isinstance(launch, protocol.Launch)

    def live() -> None:
        use_log(launch)
        container = _Container(launch, creator_socket, creator_pid)
        container.receive()
        container.supervise()

    processes.set_process_name("aethel:monitor")
    return told(live, launch, creator_socket)


def _leave_the_launcher() -> None:
    os.setsid()
    processes.set_process_name("aethel:standby")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _fork_creator(launches: socket.socket) -> tuple[socket.socket, int]:
    ours, theirs = fdsocket.pair()
    monitor_pid = os.getpid()
    creator_pid = os.fork()
    if creator_pid == 0:
        code = 1
        try:
            ours.close()  # or the monitor's death would never be seen
            code = creator.run(launches, theirs, monitor_pid)
        finally:
            os._exit(code)  # the monitor's life must not be lived twice
    theirs.close()
    return ours, creator_pid


@dataclass(slots=True)
class _Container:
    """What the monitor holds of its container."""

    launch: protocol.Launch
    creator: socket.socket
    creator_pid: int
    supervisor: Supervisor | None = None
    begun: bool = False

    @property
    def bundle(self) -> Path:
        """The OCI bundle, with the files that tell others about this run."""
        return Path(self.launch.bundle)

    # -- before the program runs -----------------------------------------------------------------

    def receive(self) -> None:
        """Listen, and take over what the creator has made."""
        listener = fdsocket.listen(self.bundle / "monitor.sock")
        handover = Handover.receive(self.creator)
        if handover is not None:
            self.supervisor = Supervisor(
                handover=handover, listener=listener, log=LogFile(self.launch.log), on_exit=self._exited
            )
            fdsocket.send(self.creator, READY)

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
