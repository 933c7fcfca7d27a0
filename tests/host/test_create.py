"""A container that is made by a process which does not stay."""

from __future__ import annotations

import os
import signal

import msgspec

from aethel_common import fdsocket
from aethel_common.linux import mounts
from aethel_common.linux.mounts import FsConfig
from aethel_run.lifecycle.create import CreateOptions, create
from aethel_run.spec.template import default_spec


def empty_root(userns_fd: int | None) -> int:
    fs_fd = mounts.fsopen("tmpfs")
    try:
        mounts.fsconfig(fs_fd, FsConfig.CMD_CREATE)
        return mounts.fsmount(fs_fd)
    finally:
        os.close(fs_fd)


def test_a_sibling_is_reaped_by_the_parent_of_who_made_it() -> None:
    base = default_spec()
    spec = msgspec.structs.replace(base, process=msgspec.structs.replace(base.process, terminal=False))
    ours, theirs = fdsocket.pair()
    with ours, theirs:
        maker = os.fork()
        if maker == 0:
            try:
                created = create(spec, CreateOptions(open_rootfs=empty_root, as_sibling=True))
                fdsocket.send(theirs, b"made", [created.pidfd, created._sync.fileno()])
            finally:
                os._exit(0)
        theirs.close()
        message, fds = fdsocket.receive(ours)
    assert message == b"made"
    os.waitpid(maker, 0)
    pidfd, gate = fds
    # It waits at its gate although its maker is gone, since we hold that open.
    assert os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is None
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    end = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert end is not None
    assert end.si_status == signal.SIGKILL
    os.close(pidfd)
    os.close(gate)
