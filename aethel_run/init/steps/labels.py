"""Labels of the security modules, told to the kernel through /proc/self/attr. man 7 apparmor, man 8 selinux"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Final

from aethel_common.linux.procfs import Procfs
from aethel_run.init.context import Init
from aethel_run.init.step import step

_EXEC: Final = "self/attr/exec"
_APPARMOR_EXEC: Final = "self/attr/apparmor/exec"
_KEYCREATE: Final = "self/attr/keycreate"


@step(man="setkeycreatecon(3) keyrings(7)", when=lambda init: bool(init.process.selinux_label))
def label_keys(init: Init) -> None:
    """Have the new session keyring carry the program's label, so that the program may use it."""
    with _procfs() as procfs:
        procfs.write(_KEYCREATE, init.process.selinux_label.encode())


@step(man="setkeycreatecon(3)", when=lambda init: bool(init.process.selinux_label))
def unlabel_keys(init: Init) -> None:
    """Leave the labels of later keys to the policy again."""
    with _procfs() as procfs:
        procfs.write(_KEYCREATE, b"\0")


@step(man="apparmor(7) aa_change_onexec(3)", when=lambda init: bool(init.process.apparmor_profile))
def set_apparmor_profile(init: Init) -> None:
    """Have execve change to the AppArmor profile."""
    with _procfs() as procfs:
        confine(procfs, init.process.apparmor_profile)


@step(man="selinux(8) setexeccon(3)", when=lambda init: bool(init.process.selinux_label))
def set_selinux_label(init: Init) -> None:
    """Have execve change to the SELinux label."""
    with _procfs() as procfs:
        procfs.write(_EXEC, init.process.selinux_label.encode())
        _verify(procfs, _EXEC, init.process.selinux_label)


def confine(procfs: Procfs, profile: str) -> None:
    """Write the profile where this kernel has AppArmor's attribute: since 5.8 in a directory of its own."""
    order = f"exec {profile}".encode()
    path = _APPARMOR_EXEC
    try:
        procfs.write(path, order)
    except FileNotFoundError:
        path = _EXEC
        procfs.write(path, order)
    _verify(procfs, path, profile.rpartition(":")[2].lstrip("/"))


def _verify(procfs: Procfs, path: str, label: str) -> None:
    """Read it back: a label that was not taken is no confinement (CVE-2019-16884)."""
    # AppArmor puts the namespace in front of it, and the mode in brackets behind.
    if label not in procfs.read(path).decode(errors="replace"):
        raise OSError(errno.EIO, f"{os.strerror(errno.EIO)}: it does not say {label} afterwards", path)


@contextlib.contextmanager
def _procfs() -> Iterator[Procfs]:
    procfs = Procfs.open()
    try:
        yield procfs
    finally:
        procfs.close()
