"""Who and where: ids inside the user namespace, session, cgroup namespace, names."""

from __future__ import annotations

from aethel_common.linux import calls, namespaces, processes
from aethel_common.linux.namespaces import CloneFlags
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec.linux import NamespaceType


@step(
    man="user_namespaces(7) setresuid(2)", when=lambda init: init.has(NamespaceType.USER), only="with a user namespace"
)
def become_root(init: Init) -> None:
    """Take the id 0 of the user namespace, which the host sees as an ordinary one."""
    if not _setgroups_is_denied():
        calls.setgroups([])
    calls.setresgid(0, 0, 0)
    calls.setresuid(0, 0, 0)


def _setgroups_is_denied() -> bool:
    """Where a user without privilege made the namespace: the groups that he has stay. man 7 user_namespaces"""
    with open("/proc/self/setgroups", "rb") as file:  # as text, an encoding might have to be imported
        return file.read().startswith(b"deny")


@step(man="setsid(2) prctl(2)")
def start_session(init: Init) -> None:
    """Leave the caller's session: no terminal of the host can be reached, and no input pushed into one (TIOCSTI)."""
    # Until execve this is the host's interpreter: nobody else in these namespaces may trace it or open its /proc files.
    processes.set_dumpable(False)
    calls.setsid()


@step(man="keyctl(2) session-keyring(7)", when=lambda init: init.new_keyring, only="without --no-new-keyring")
def join_keyring(init: Init) -> None:
    """Take a new session keyring: no key of the caller can be read."""
    processes.join_session_keyring()


@step(
    man="cgroup_namespaces(7) unshare(2)",
    when=lambda init: init.spec.linux.makes(NamespaceType.CGROUP),
    only="with a cgroup namespace of its own",
)
def unshare_cgroup(init: Init) -> None:
    """Make the container's own cgroup the root of what it sees."""
    # Not with clone3: CLONE_INTO_CGROUP moves the child after CLONE_NEWCGROUP has looked where it is.
    namespaces.unshare(CloneFlags.NEWCGROUP)


@step(man="sethostname(2) uts_namespaces(7)", when=lambda init: bool(init.spec.hostname), only="with a hostname")
def set_hostname(init: Init) -> None:
    """Name the machine that the container believes it is on."""
    namespaces.sethostname(init.spec.hostname)


@step(man="setdomainname(2)", when=lambda init: bool(init.spec.domainname), only="with a domainname")
def set_domainname(init: Init) -> None:
    """Set the NIS domain of that machine."""
    namespaces.setdomainname(init.spec.domainname)
