"""Seccomp: from the document's profile to a program that the kernel runs before each system call. man 2 seccomp

- `profile`: the default profile, by capabilities
- `reading`: how a profile is understood, call by call
- `compile`: a profile to a program, pure
- `arguments`, `assembler`: conditions in BPF, and BPF itself, written from its end
- `tables`, `numbers`: the architectures and their system calls
- `notify`: hand the listener of SCMP_ACT_NOTIFY to its agent

Load what `compile_profile` returns, in the process that is to be filtered:

    >>> from aethel_common.linux import seccomp
    >>> from aethel_run.seccomp.compile import compile_profile
    >>> from aethel_run.seccomp.profile import default_profile
    >>> filter = compile_profile(default_profile(frozenset(), "x86_64"), "x86_64")
    >>> listener = seccomp.set_mode_filter(filter.program, filter.flags)
"""
