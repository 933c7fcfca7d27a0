"""The document of a plain container: the defaults that users of containers know."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from aethel_run.spec.config import Root, Spec
from aethel_run.spec.linux import IdMapping, Linux, Namespace, NamespaceType
from aethel_run.spec.mounts import Mount
from aethel_run.spec.process import Capabilities, Process
from aethel_run.spec.resources import DeviceRule, Resources

OCI_VERSION: Final = "1.3.0"

DEFAULT_CAPABILITIES: Final = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

_MOUNTS: Final = (
    Mount(destination="/proc", type="proc", source="proc", options=("nosuid", "noexec", "nodev")),
    Mount(
        destination="/dev", type="tmpfs", source="tmpfs", options=("nosuid", "strictatime", "mode=755", "size=65536k")
    ),
    Mount(
        destination="/dev/pts",
        type="devpts",
        source="devpts",
        options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    Mount(destination="/sys", type="sysfs", source="sysfs", options=("nosuid", "noexec", "nodev", "ro")),
    Mount(destination="/sys/fs/cgroup", type="cgroup", source="cgroup", options=("nosuid", "noexec", "nodev", "ro")),
    Mount(destination="/dev/mqueue", type="mqueue", source="mqueue", options=("nosuid", "noexec", "nodev")),
    Mount(
        destination="/dev/shm",
        type="tmpfs",
        source="shm",
        options=("nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
    ),
)

_MASKED: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def default_spec() -> Spec:
    """Docker's defaults for a plain container, without a user namespace: `sh` on a terminal."""
    kinds = NamespaceType
    return Spec(
        oci_version=OCI_VERSION,
        process=Process(
            terminal=True,
            args=("sh",),
            env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"),
            cwd="/",
            capabilities=Capabilities(
                bounding=DEFAULT_CAPABILITIES, effective=DEFAULT_CAPABILITIES, permitted=DEFAULT_CAPABILITIES
            ),
        ),
        root=Root(path="rootfs"),
        hostname="aethel",
        mounts=_MOUNTS,
        linux=Linux(
            namespaces=tuple(
                Namespace(type=kind)
                for kind in (kinds.PID, kinds.NETWORK, kinds.IPC, kinds.UTS, kinds.MOUNT, kinds.CGROUP)
            ),
            resources=Resources(devices=(DeviceRule(allow=False, access="rwm"),)),
            masked_paths=_MASKED,
            readonly_paths=_READ_ONLY,
        ),
    )


def rootless_spec() -> Spec:
    """For a user without privilege: a user namespace that maps him alone to root, and nothing that needs more."""
    base = default_spec()
    mounts = tuple(
        msgspec.structs.replace(mount, options=tuple(each for each in mount.options if not each.startswith("gid=")))
        for mount in base.mounts
    )
    linux = msgspec.structs.replace(
        base.linux,
        namespaces=(*base.linux.namespaces, Namespace(type=NamespaceType.USER)),
        uid_mappings=(IdMapping(container_id=0, host_id=os.geteuid(), size=1),),
        gid_mappings=(IdMapping(container_id=0, host_id=os.getegid(), size=1),),
        resources=Resources(),
    )
    return msgspec.structs.replace(base, mounts=mounts, linux=linux)
