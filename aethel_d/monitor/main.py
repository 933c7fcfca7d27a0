"""A monitor's life, top to bottom: stand by, have the container created, supervise it, say how it ended."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Final

from aethel_common import fdsocket, jsonfile
from aethel_common.linux import processes
from aethel_d.monitor import creator, protocol
from aethel_d.monitor.border import told
from aethel_d.monitor.handover import READY, Handover, receive
from aethel_d.monitor.logfile import LogFile
from aethel_d.monitor.supervisor import Supervisor
from aethel_run.cgroup.tree import Cgroup

_KILL_SECONDS: Final = 5.0


def run(launches: socket.socket) -> int:
    """Stand by until a container is made, then be its monitor; return the exit status of this process.

    Everything that goes wrong before the container runs is undone and told to the daemon, by the creator; afterwards
    nobody is left to tell, and it is written to monitor.log.
    """
    os.setsid()
    processes.set_process_name("aethel:monitor")
    # An init that joined others' namespaces is the creator's child, and comes to us when that ends.
    processes.set_child_subreaper()
    creator_socket, creator_pid = _fork_creator(launches)
    launches.close()
    handover = receive(creator_socket)
    if handover is None:
        _reap_children()
        return 0
    os.dup2(handover.monitor_log, 2)
    os.close(handover.monitor_log)
    code = told(lambda: _Life(handover, creator_socket, creator_pid).live(), creator_socket)
    if code != 0:
        # The creator ends with us, and has still to undo its part and to tell the daemon.
        _await(creator_pid)
    return code


def _fork_creator(launches: socket.socket) -> tuple[socket.socket, int]:
    ours, theirs = fdsocket.pair()
    monitor_pid = os.getpid()
    creator_pid = os.fork()
    if creator_pid == 0:
        code = 1
        try:
            ours.close()  # or the monitor's end would never be seen
            processes.die_with_parent()  # nobody would be there to watch what it makes
            code = creator.run(launches, theirs, monitor_pid)
        finally:
            os._exit(code)  # the monitor's life must not be lived twice
    theirs.close()
    return ours, creator_pid


class _Life:
    """From the handover on."""

    def __init__(self, handover: Handover, creator: socket.socket, creator_pid: int) -> None:
        self._handover = handover
        self._creator = creator
        self._creator_pid = creator_pid
        self._begun = False
        self._supervisor = Supervisor(handover=handover, log=LogFile(handover.log), on_exit=self._exited)

    def live(self) -> None:
        """Answer clients, and once the container has begun: until it has ended, and they have had everything."""
        loop = self._supervisor.loop
        loop.add(self._creator.fileno(), self._hear_creator)
        # How it ends must be written down whatever becomes of the disk meanwhile.
        jsonfile.reserve(Path(self._handover.bundle) / "exit.json")
        fdsocket.send(self._creator, READY)
        loop.run(lambda: not self._creator_pid)
        if self._begun:
            self._supervisor.run()
        else:
            _reap_children()

    def _hear_creator(self) -> None:
        """Its last word, or none; either way it ends. Only then is an init that joined others' namespaces ours to reap."""
        message, _ = fdsocket.receive(self._creator)
        self._begun = bool(message)
        self._supervisor.loop.remove(self._creator.fileno())
        self._creator.close()
        os.waitpid(self._creator_pid, 0)
        self._creator_pid = 0

    def _exited(self, result: os.waitid_result) -> None:
        """Write down how it ended, before anyone is told."""
        bundle, cgroup = Path(self._handover.bundle), Cgroup(Path(self._handover.cgroup))
        if self._handover.shares_pids:
            cgroup.kill()
            cgroup.wait_empty(_KILL_SECONDS)
        signal_number = 0 if result.si_code == os.CLD_EXITED else result.si_status
        jsonfile.replace(
            bundle / "exit.json",
            protocol.ExitState(
                code=128 + signal_number if signal_number else result.si_status,
                signal=signal_number,
                finished_ns=time.time_ns(),
                oom_killed=cgroup.oom_killed(),
            ),
        )
        (bundle / "monitor.sock").unlink()
        cgroup.remove()


def _await(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # reaped already


def _reap_children() -> None:
    """The creator, and the init that it killed."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
