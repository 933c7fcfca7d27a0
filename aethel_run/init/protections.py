"""What may be left out of a container, for teaching (`--without`), and what never, with the reasons.

Each protection that is left out shows what it is for: "Break it" in the chapters of docs/how-it-works. The host must not
be what is broken: what separates it from the container stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aethel_common.errors import InvalidArgument
from aethel_run.init.plan import SETUP_STEPS, START_STEPS
from aethel_run.spec.config import Spec
from aethel_run.spec.linux import NamespaceType

ANYWHERE: Final[Mapping[str, str]] = {
    "set_no_new_privs": "a set-user-id program gives its caller the owner's privileges again",
    "make_root_read_only": "the program can write to its root",
    "load_filter": "every system call of the kernel can be made",
    "load_filter_by_privilege": "every system call of the kernel can be made",
}
"""Left out, the program is as free as a container's programs are with many runtimes by default."""

IN_A_USER_NAMESPACE: Final[Mapping[str, str]] = {
    "mask_paths": "files of /proc and /sys that tell about the host can be opened",
    "make_paths_read_only": "the kernel's own checks are all that keeps /proc/sys from being written",
    "drop_bounding_set": "a program of the image can gain every capability, over what its user namespace owns",
    "set_capabilities": "root has every capability of its bounding set, over what its user namespace owns",
}
"""Without one, root inside would be root outside, and these are what stands between."""

NEVER: Final[Mapping[str, str]] = {
    "become_root": "its files and processes would belong to nobody",
    "start_session": "it could type into the terminal of its caller",
    "join_keyring": "it could read the keys of its caller",
    "unshare_cgroup": "it would be shown the host's control groups",
    "make_mounts_slave": "what it mounts would be mounted on the host",
    "attach_rootfs": "its root would be the host's",
    "pivot_into_rootfs": "its root would be the host's",
    "detach_old_root": "the host's files would be in reach",
    "set_ids": "it would run as root, with the groups of its caller",
    "set_apparmor_profile": "it was asked to be confined",
    "set_selinux_label": "it was asked to be confined",
    "close_descriptors": "descriptors of the host would stay open in it (CVE-2024-21626)",
    "reset_signals": "it would inherit which signals are ignored",
    "execute": "nothing would run",
}
"""What endangers the host, and what without there is no container."""


def loss(name: str) -> str:
    """What is lost without that step; empty when it cannot be left out."""
    return ANYWHERE.get(name) or IN_A_USER_NAMESPACE.get(name) or ""


def check(without: Iterable[str], spec: Spec) -> None:
    """Refuse, by name and with the reason, what may not be left out of this container. Raises InvalidArgument."""
    steps = {step.name for step in (*SETUP_STEPS, *START_STEPS)}
    for name in without:
        if name not in steps:
            raise InvalidArgument(f"without: no step is called {name!r}", hint="`aethel-run explain` lists them")
        if name in ANYWHERE:
            continue
        if name not in IN_A_USER_NAMESPACE:
            reason = NEVER.get(name, "it is no protection: without it there would be no such container")
            raise InvalidArgument(f"without: {name} cannot be left out: {reason}")
        if not spec.linux.makes(NamespaceType.USER):
            raise InvalidArgument(
                f"without: {name} can be left out only in a user namespace",
                hint="root of this container is root of the host",
            )
