"""Labels of the security modules, told to the kernel through /proc/self/attr. man 7 apparmor, man 8 selinux"""

from __future__ import annotations

import errno
import os
from typing import Final, Protocol

from aethel_common.linux import procfs
from aethel_run.init.context import Init
from aethel_run.init.step import step

_EXEC: Final = "self/attr/exec"
_APPARMOR_EXEC: Final = "self/attr/apparmor/exec"
_KEYCREATE: Final = "self/attr/keycreate"


class Attributes(Protocol):
    """Files of a procfs by their path."""

    def write(self, path: str, value: str) -> None:
        """At once."""

    def read(self, path: str) -> str:
        """Whole."""


class _Own:
    """Those of this process, through a handle that nobody else has touched."""

    def __init__(self, proc_fd: int) -> None:
        self._proc_fd = proc_fd

    def write(self, path: str, value: str) -> None:
        procfs.write(self._proc_fd, path, value)

    def read(self, path: str) -> str:
        return procfs.read(self._proc_fd, path)


def _labels_keys(init: Init) -> bool:
    return bool(init.process.selinux_label) and init.new_keyring


@step(man="setkeycreatecon(3) keyrings(7)", when=_labels_keys, only="with process.selinuxLabel and a new keyring")
def label_keys(init: Init) -> None:
    """Have the new session keyring carry the program's label, so that the program may use it."""
    with procfs.private() as proc_fd:
        procfs.write(proc_fd, _KEYCREATE, init.process.selinux_label)


@step(man="setkeycreatecon(3)", when=_labels_keys, only="with process.selinuxLabel and a new keyring")
def unlabel_keys(init: Init) -> None:
    """Leave the labels of later keys to the policy again."""
    with procfs.private() as proc_fd:
        procfs.write(proc_fd, _KEYCREATE, "\0")


@step(
    man="apparmor(7) aa_change_onexec(3)",
    when=lambda init: bool(init.process.apparmor_profile),
    only="with process.apparmorProfile",
)
def set_apparmor_profile(init: Init) -> None:
    """Have execve change to the AppArmor profile."""
    with procfs.private() as proc_fd:
        confine(_Own(proc_fd), init.process.apparmor_profile)


@step(
    man="selinux(8) setexeccon(3)", when=lambda init: bool(init.process.selinux_label), only="with process.selinuxLabel"
)
def set_selinux_label(init: Init) -> None:
    """Have execve change to the SELinux label."""
    with procfs.private() as proc_fd:
        attributes = _Own(proc_fd)
        attributes.write(_EXEC, init.process.selinux_label)
        _verify(attributes, _EXEC, init.process.selinux_label)


def confine(attributes: Attributes, profile: str) -> None:
    """Write the profile where this kernel has AppArmor's attribute: since 5.8 in a directory of its own."""
    order = f"exec {profile}"
    path = _APPARMOR_EXEC
    try:
        attributes.write(path, order)
    except FileNotFoundError:
        path = _EXEC
        attributes.write(path, order)
    _verify(attributes, path, profile.rpartition(":")[2].lstrip("/"))


def _verify(attributes: Attributes, path: str, label: str) -> None:
    """Read it back: a label that was not taken is no confinement (CVE-2019-16884)."""
    # AppArmor puts the namespace in front of it, and the mode in brackets behind.
    if label not in attributes.read(path):
        raise OSError(errno.EIO, f"{os.strerror(errno.EIO)}: it does not say {label} afterwards", path)
