"""What a document asks of this machine, looked for before anything is made. Chiefly what a kernel is built without."""

from __future__ import annotations

import os
from typing import Final

from aethel_common.errors import Unsupported
from aethel_common.linux import capabilities
from aethel_common.linux.capabilities import Capability
from aethel_run.process import rdt
from aethel_run.spec import privileges
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType
from aethel_run.spec.process import Process

_APPARMOR: Final = "sys/module/apparmor/parameters/enabled"
_FILE_SYSTEMS: Final = "proc/filesystems"


def check(spec: Spec, root: str = "/") -> None:
    """Refuse by name what cannot be; `root` is where /proc and /sys are. Raises Unsupported."""
    if spec.process is not None:
        check_process(spec.process, root)
    if spec.linux.intel_rdt is not None:
        rdt.find_resctrl(os.path.join(root, "proc/self/mountinfo"))


def check_process(process: Process, root: str = "/") -> None:
    """The same for a process that joins a container. Raises Unsupported."""
    if process.apparmor_profile and not apparmor_is_enabled(root):
        raise Unsupported(
            f"process.apparmorProfile: {process.apparmor_profile}: AppArmor is not enabled in this kernel",
            hint="leave the profile out, or boot with lsm=...,apparmor",
        )
    if process.selinux_label and not selinux_is_enabled(root):
        raise Unsupported(
            f"process.selinuxLabel: {process.selinux_label}: SELinux is not enabled in this kernel",
            hint="leave the label out, or boot with lsm=...,selinux",
        )


def apparmor_is_enabled(root: str = "/") -> bool:
    """man 7 apparmor"""
    return _read(os.path.join(root, _APPARMOR)).startswith("Y")


def selinux_is_enabled(root: str = "/") -> bool:
    """Its file system exists only in a kernel that runs it. man 8 selinux"""
    return any(line.split()[-1] == "selinuxfs" for line in _read(os.path.join(root, _FILE_SYSTEMS)).splitlines())


def warnings(spec: Spec) -> list[str]:
    """Capabilities that are known and cannot be given here, a line each. config.md#linux-process"""
    if spec.process is None:
        return []
    # In a user namespace every process begins with all that the kernel has.
    return warnings_process(spec.process, all_powers=spec.linux.has(NamespaceType.USER))


def warnings_process(process: Process, *, all_powers: bool) -> list[str]:
    """The same for one process; with `all_powers` it will begin in a user namespace."""
    if process.capabilities is None:
        return []
    everything = capabilities.mask(capabilities.supported())
    permitted = everything if all_powers else capabilities.capget().permitted
    bounding = everything if all_powers else capabilities.bounding()
    wanted = privileges.asked(process.capabilities)
    granted = privileges.grantable(wanted, permitted=permitted, bounding=bounding)
    return [_sentence(*each) for each in privileges.withheld(wanted, granted)]


def _sentence(kind: str, capability: Capability) -> str:
    return f"process.capabilities.{kind}: {capability.name} cannot be given here"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""
