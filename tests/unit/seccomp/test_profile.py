"""The default profile, call by call: what it denies is written down here."""

from __future__ import annotations

import errno
import socket

import pytest

from aethel_run.seccomp.compile import Filter, compile_profile
from aethel_run.seccomp.profile import default_profile
from aethel_run.seccomp.tables import AUDIT_ARCH, known_names, numbers
from aethel_run.spec.seccomp import Architecture, check
from tests.unit.seccomp import interpreter

ALLOW = 0x7FFF0000
EPERM, EIO, ENOSYS = (0x00050000 | number for number in (errno.EPERM, errno.EIO, errno.ENOSYS))

DENIED = set(
    """
    _sysctl acct add_key afs_syscall bpf chroot clock_settime create_module delete_module fanotify_init finit_module
    fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg init_module io_uring_enter io_uring_register
    io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie lsm_get_self_attr lsm_list_modules
    lsm_set_self_attr mbind migrate_pages mount
    mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd
    pivot_root process_madvise putpmsg query_module quotactl quotactl_fd reboot request_key security set_mempolicy
    set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon sysfs syslog tuxcall umount2
    unshare uselib userfaultfd ustat vhangup vserver
    """.split()
)
"""Of x86_64, whatever the arguments, without capabilities."""

BY_ARGUMENT = {"clone", "ioctl", "personality", "socket"}
ABSENT = {"clone3", "listns", "rseq_slice_yield"}
"""ENOSYS: to be fallen back from, and newer than the profile."""

CAPABILITIES = {
    "CAP_BPF": {"bpf"},
    "CAP_DAC_READ_SEARCH": {"open_by_handle_at"},
    "CAP_PERFMON": {"perf_event_open"},
    "CAP_SYSLOG": {"syslog"},
    "CAP_SYS_ADMIN": set(
        """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr mount mount_setattr move_mount
        open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount2
        unshare
        """.split()
    ),
    "CAP_SYS_BOOT": {"reboot"},
    "CAP_SYS_CHROOT": {"chroot"},
    "CAP_SYS_MODULE": {"delete_module", "finit_module", "init_module"},
    "CAP_SYS_NICE": {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"},
    "CAP_SYS_PACCT": {"acct"},
    "CAP_SYS_PTRACE": {"kcmp", "pidfd_getfd", "process_madvise"},
    "CAP_SYS_RAWIO": {"ioperm", "iopl"},
    "CAP_SYS_TIME": {"clock_settime", "settimeofday"},
    "CAP_SYS_TTY_CONFIG": {"vhangup"},
}

ODD_ARGUMENTS = ([0] * 6, [1] * 6, [0xFFFFFFFF] * 6, [(1 << 64) - 1] * 6, [0x5412] * 6, [38] * 6, [0x7E020000] * 6)


def filter_of(*capabilities: str, machine: str = "x86_64") -> Filter:
    return compile_profile(default_profile(frozenset(capabilities), machine), machine)


def decide(compiled: Filter, name: str, *args: int, architecture: Architecture = Architecture.X86_64) -> int:
    padded = [*args, *[0] * (6 - len(args))]
    return interpreter.decide(compiled.instructions, AUDIT_ARCH[architecture], numbers(architecture)[name], padded)


def allowed_for_all_arguments(compiled: Filter) -> set[str]:
    return {
        name
        for name in numbers(Architecture.X86_64)
        if all(decide(compiled, name, *args) == ALLOW for args in ODD_ARGUMENTS)
    }


def test_every_call_of_x86_64_is_allowed_or_denied_as_written_here() -> None:
    compiled = filter_of()
    everything = set(numbers(Architecture.X86_64))
    assert allowed_for_all_arguments(compiled) == everything - DENIED - BY_ARGUMENT - ABSENT
    for args in ODD_ARGUMENTS:
        assert {name for name in everything if decide(compiled, name, *args) == ENOSYS} == ABSENT
        assert {name for name in DENIED if decide(compiled, name, *args) == EPERM} == DENIED


@pytest.mark.parametrize("capability", sorted(CAPABILITIES))
def test_a_capability_allows_what_it_stands_for_and_nothing_else(capability: str) -> None:
    gained = allowed_for_all_arguments(filter_of(capability)) - allowed_for_all_arguments(filter_of())
    assert gained == CAPABILITIES[capability]


def test_capabilities_of_a_plain_container_open_chroot_only() -> None:
    plain = ("CAP_CHOWN", "CAP_KILL", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETUID", "CAP_SYS_CHROOT")
    assert allowed_for_all_arguments(filter_of(*plain)) - allowed_for_all_arguments(filter_of()) == {"chroot"}


@pytest.mark.parametrize("architecture", [Architecture.X86_64, Architecture.X86])
def test_clone_makes_threads_and_processes_but_no_namespaces(architecture: Architecture) -> None:
    compiled = filter_of()
    threads, vfork = 0x3D0F00, 0x4111
    for flags in (17, threads, vfork, 0x01200011):
        assert decide(compiled, "clone", flags, architecture=architecture) == ALLOW
    for namespace in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(compiled, "clone", namespace | 17, architecture=architecture) == EPERM


@pytest.mark.parametrize("architecture", [Architecture.X86_64, Architecture.X86])
def test_cve_2026_31431_no_socket_of_af_alg_af_vsock_or_an_obsolete_family(architecture: Architecture) -> None:
    compiled = filter_of()
    denied = {12, 19, 20, 23, 25, 34, 37, socket.AF_ALG, socket.AF_VSOCK}
    for family in range(46):
        expected = EPERM if family in denied else ALLOW
        assert decide(compiled, "socket", family, architecture=architecture) == expected
    for family in denied:  # the kernel reads an int: what stands above it is not there
        for above in (1, 0xFFFFFFFF):
            assert decide(compiled, "socket", above << 32 | family, architecture=architecture) == EPERM
    for unknown in (46, 255, 0xFFFFFFFF):
        assert decide(compiled, "socket", unknown, architecture=architecture) == EPERM


def test_cve_2026_31431_no_socket_behind_socketcall() -> None:
    compiled = filter_of()
    assert decide(compiled, "socketcall", 1, architecture=Architecture.X86) == EPERM
    for call in range(2, 21):
        assert decide(compiled, "socketcall", call, architecture=Architecture.X86) == ALLOW


@pytest.mark.parametrize("architecture", [Architecture.X86_64, Architecture.X86])
@pytest.mark.parametrize("request_", [0x5412, 0x541C])
def test_cve_2016_10124_nothing_is_pushed_into_a_terminal(architecture: Architecture, request_: int) -> None:
    compiled = filter_of()
    for above in (0, 1, 0xFFFFFFFF):
        assert decide(compiled, "ioctl", 0, above << 32 | request_, architecture=architecture) == EIO
    for other in (0x5401, 0x5411, 0x5413, 0xFFFFFFFF_80045430):  # the last one as musl sign-extends
        assert decide(compiled, "ioctl", 0, other, architecture=architecture) == ALLOW


@pytest.mark.parametrize("architecture", [Architecture.X86_64, Architecture.X86])
def test_only_harmless_personalities(architecture: Architecture) -> None:
    compiled = filter_of()
    for harmless in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF):
        assert decide(compiled, "personality", harmless, architecture=architecture) == ALLOW
    for harmful in (0x0040000, 0x0400000, 0x0100000, 1, 0x20009):  # no randomisation, executable reads, page zero
        assert decide(compiled, "personality", harmful, architecture=architecture) == EPERM


@pytest.mark.parametrize(
    ("machine", "architectures"),
    [
        ("x86_64", (Architecture.X86_64, Architecture.X86)),
        ("aarch64", (Architecture.AARCH64, Architecture.ARM)),
        ("armv7l", (Architecture.ARM,)),
    ],
)
def test_the_dangerous_calls_are_denied_on_every_architecture(
    machine: str, architectures: tuple[Architecture, ...]
) -> None:
    compiled = filter_of(machine=machine)
    interpreter.check(compiled.instructions)
    dangerous = "add_key bpf init_module io_uring_setup kexec_load keyctl mount perf_event_open pivot_root reboot setns"
    for architecture in architectures:
        for name in dangerous.split():
            assert decide(compiled, name, architecture=architecture) == EPERM, (architecture, name)
        assert decide(compiled, "clone3", architecture=architecture) == ENOSYS
        for name in "read write openat execve exit_group futex statx rt_sigreturn getrandom file_setattr".split():
            assert decide(compiled, name, architecture=architecture) == ALLOW, (architecture, name)


def test_the_profile_is_a_document_that_breaks_no_rule_and_has_no_misspelt_name() -> None:
    profile = default_profile(frozenset(CAPABILITIES), "x86_64")
    check(profile)
    assert {name for rule in profile.syscalls for name in rule.names} <= known_names()
