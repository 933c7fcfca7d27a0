"""The default profile: what programs in containers need, and nothing that reaches past them. Denied calls fail with EPERM.

A list of what is allowed, so that a call that nobody thought of is denied. What stays out, and why: modules, kexec, swap,
accounting, reboot and raw ports belong to the host; bpf, perf_event_open, userfaultfd and io_uring have been the way
into the kernel too often; add_key, keyctl and request_key know no namespaces; mounts and namespaces need CAP_SYS_ADMIN,
which is then asked for. What a capability stands for is allowed to who has it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import Final

from aethel_run.spec.seccomp import Action, Architecture, Argument, Operator, Seccomp, Syscall

_FILES: Final = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
    fadvise64 fadvise64_64 arm_fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl
    fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr flock fremovexattr fsetxattr fstat fstat64
    fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat
    lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat
    lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 oldfstat oldlstat oldstat
    pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv removexattr
    removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs
    statfs64 statx symlink symlinkat sync sync_file_range sync_file_range2 arm_sync_file_range syncfs tee truncate
    truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev listmount statmount
    fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch cachestat
"""

_WAITING: Final = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit _newselect pause
    pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4 futex futex_requeue
    futex_time64 futex_wait futex_waitv futex_wake get_robust_list set_robust_list restart_syscall
"""

_MEMORY: Final = """
    brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease
    remap_file_pages
"""

_PROCESSES: Final = """
    execve execveat exit exit_group fork vfork wait4 waitid waitpid getpgid getpgrp getpid getppid getpriority
    getrlimit getrusage getsid gettid getcpu ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self nice pidfd_open pidfd_send_signal prctl prlimit64 rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    seccomp sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield setpgid setpriority setrlimit set_thread_area get_thread_area
    set_tid_address setsid sgetmask sigaction sigaltstack signal sigpending sigprocmask sigreturn sigsuspend ssetmask
    sysinfo tgkill times tkill ugetrlimit uname olduname oldolduname process_vm_readv process_vm_writev ptrace uprobe
    uretprobe arch_prctl modify_ldt breakpoint cacheflush get_tls set_tls
"""

_IDENTITY: Final = """
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
    getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
    setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
"""

# To set a clock needs CAP_SYS_TIME; these calls read it, too.
_TIME: Final = """
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64 getrandom
"""

_COMMUNICATION: Final = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
    recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair ipc mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd
    semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""

_WITH_CAPABILITY: Final[Mapping[str, str]] = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
        lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree open_tree_attr perf_event_open
        quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

_ARCHITECTURES: Final[Mapping[str, tuple[Architecture, ...]]] = {
    "x86_64": (Architecture.X86_64, Architecture.X86),
    "aarch64": (Architecture.AARCH64, Architecture.ARM),
}
"""With the 32-bit programs that users run. Without x32: nobody runs it, and it is a second way to every call."""

_INT: Final = 0xFFFFFFFF
"""The kernel reads an int argument from the low half, whatever the caller left in the high one."""

_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C
_FAMILIES: Final = 46
"""AF_MAX of Linux 6.18; what comes after is not known to be harmless."""
_AF_ALG: Final = 38
_AF_VSOCK: Final = 40
_AF_OBSOLETE: Final = (12, 19, 20, 23, 25, 34, 37)
"""DECnet, Econet, ATM SVC, IrDA, WANPIPE, ISDN and CAIF: code that nobody runs, some of it gone from the kernel."""
_SYS_SOCKET: Final = 1
_NEW_NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET; clone(2) has no bit for NEWTIME."""
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""PER_LINUX and PER_LINUX32, each with UNAME26 or without, and the question what it is."""


def default_profile(capabilities: frozenset[str], machine: str) -> Seccomp:
    """The profile for a container whose bounding set holds `capabilities` (CAP_...), on a machine (`uname -m`)."""
    allowed = [_FILES, _WAITING, _MEMORY, _PROCESSES, _IDENTITY, _TIME, _COMMUNICATION]
    allowed += [calls for capability, calls in _WITH_CAPABILITY.items() if capability in capabilities]
    rules = [_allow(" ".join(allowed)), *_terminals(), *_sockets(), *_personalities()]
    if "CAP_SYS_ADMIN" not in capabilities:
        rules += _processes_in_the_same_namespaces()
    return Seccomp(
        default_action=Action.ERRNO,
        default_errno_ret=errno.EPERM,
        architectures=_ARCHITECTURES.get(machine, ()),
        syscalls=tuple(rules),
    )


def _allow(names: str, *args: Argument) -> Syscall:
    return Syscall(names=tuple(names.split()), action=Action.ALLOW, args=args)


def _is(index: int, value: int, op: Operator = Operator.EQ) -> Argument:
    return Argument(index=index, op=op, value=value)


def _terminals() -> Iterable[Syscall]:
    """ioctl, but for pushing input into the terminal one was started from; as a kernel answers that has it turned off."""
    for request in (_TIOCSTI, _TIOCLINUX):
        pushes = Argument(index=1, op=Operator.MASKED_EQ, value=_INT, value_two=request)
        yield Syscall(names=("ioctl",), action=Action.ERRNO, errno_ret=errno.EIO, args=(pushes,))
    # A condition that always holds: a rule without any would be stronger than the two above.
    yield _allow("ioctl", _is(1, 0, Operator.GE))


def _sockets() -> Iterable[Syscall]:
    """All families but AF_ALG (CVE-2026-31431), AF_VSOCK, whose peer is the hypervisor, and those that are obsolete.

    One by one, since a family is an int to the kernel: "other than 38" would hold for 1 << 32 | 38 as well.
    """
    denied = (_AF_ALG, _AF_VSOCK, *_AF_OBSOLETE)
    yield _allow("socket", _is(0, min(denied), Operator.LT))
    for family in range(min(denied), _FAMILIES):
        if family not in denied:
            yield _allow("socket", _is(0, family))
    # On i386 a socket can be made through socketcall, too, where its family cannot be seen.
    yield _allow("socketcall", _is(0, _SYS_SOCKET, Operator.GT))


def _personalities() -> Iterable[Syscall]:
    """Those that do not turn a protection off."""
    for personality in _PERSONALITIES:
        yield _allow("personality", _is(0, personality))


def _processes_in_the_same_namespaces() -> Iterable[Syscall]:
    """clone without a new namespace. The flags of clone3 are in memory, where a filter cannot look: to the C library it
    is not there (ENOSYS), and it falls back to clone."""
    yield _allow("clone", Argument(index=0, op=Operator.MASKED_EQ, value=_NEW_NAMESPACES, value_two=0))
    yield Syscall(names=("clone3",), action=Action.ERRNO, errno_ret=errno.ENOSYS)
