"""What the creator does besides what every parent of an init does, and the plan that it follows."""

from __future__ import annotations

import os
import socket
from typing import Final

from aethel_common import fdsocket
from aethel_common.linux import mounts, namespaces
from aethel_common.linux.mounts import MountFlags
from aethel_common.linux.namespaces import CloneFlags
from aethel_d.monitor import protocol
from aethel_run.lifecycle.plan import Entry, places, whole
from aethel_run.spec.linux import NamespaceType
from aethel_run.story import act


@act(man="unshare(2) mount_namespaces(7)")
def leave_mounts() -> None:
    """Take mounts of its own, so that the container's overlay never shows in the host's mount table."""
    namespaces.unshare(CloneFlags.NEWNS)
    # Ours stay ours; what the host unmounts goes here too, so that we pin nothing ("device or resource busy").
    mounts.mount(None, "/", None, MountFlags.REC | MountFlags.SLAVE, None)


@act(
    man="unix(7) network_namespaces(7)",
    when=lambda spec: spec.linux.makes(NamespaceType.NETWORK),
    only="with a network namespace of its own",
)
def offer_network(conversation: socket.socket, pid: int) -> None:
    """Send the new network namespace to the daemon, which wires it while the root is being set up."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fdsocket.send(conversation, protocol.encode(protocol.Cloned()), [fd])
    finally:
        os.close(fd)


FIRST: Final = (Entry("M", leave_mounts),)
NAMESPACES_READY: Final = (Entry("M", offer_network),)
PLACES: Final = places(whole(first=FIRST, namespaces_ready=NAMESPACES_READY))
