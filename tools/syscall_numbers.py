"""Write aethel_run/seccomp/numbers.py anew from the kernel's headers, as Debian installs them.

    apt-get install gcc linux-libc-dev linux-libc-dev-arm64-cross linux-libc-dev-armhf-cross
    python tools/syscall_numbers.py > aethel_run/seccomp/numbers.py

The C preprocessor reads the headers, so that every architecture's own way of counting is followed. What the installed
headers are too old for stands in LATER below; drop it from there once they have it.
"""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Mapping

UNIFIED = 424
"""From this number on a call has the same number on every architecture."""

X32_BIT = 0x40000000

# kernel scripts/syscall.tbl, Linux 6.5 to 7.0
LATER = """
    cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr
    lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr
    file_setattr listns rseq_slice_yield
"""
LATER_FROM = 451
# arch/x86/entry/syscalls/syscall_64.tbl, Linux 6.11 and 6.18
LATER_X86_64 = {"uretprobe": 335, "uprobe": 336}

HEADERS: Mapping[str, tuple[str, ...]] = {
    "X86_64": ("-m64", "-I/usr/include/x86_64-linux-gnu"),
    "X32": ("-mx32", "-I/usr/include/x86_64-linux-gnu"),
    "X86": ("-m32", "-I/usr/include/x86_64-linux-gnu"),
    "AARCH64": ("-nostdinc", "-I/usr/aarch64-linux-gnu/include"),
    "ARM": ("-nostdinc", "-D__ARM_EABI__", "-I/usr/arm-linux-gnueabihf/include"),
}


def preprocess(source: str, *flags: str) -> list[str]:
    """The lines that the C preprocessor makes of it."""
    done = subprocess.run(["cc", "-E", "-P", *flags, "-"], input=source, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def numbers(*flags: str) -> dict[str, int]:
    """Name to number, of the <asm/unistd.h> that these flags find."""
    include = "#include <asm/unistd.h>\n"
    names = {}
    for line in preprocess(include, "-dM", *flags):
        macro = re.match(r"#define (__(?:ARM_)?NR_)(?!SYSCALL|OABI|BASE)(\w+) ", line)
        if macro and macro[2] not in ("syscalls", "arch_specific_syscall"):
            names[macro[2]] = macro[1] + macro[2]
    asked = "".join(f"@{name} {macro}\n" for name, macro in names.items())
    found = {}
    for line in preprocess(include + asked, *flags):
        if line.startswith("@"):
            name, _, value = line[1:].partition(" ")
            found[name] = sum(int(term, 0) for term in re.findall(r"\w+", value))
    return found


def block(constant: str, table: Mapping[str, int]) -> str:
    """A constant of names in the order of their numbers; a number stands before a name that does not follow the last."""
    words = []
    expected = -1
    for name, number in sorted(table.items(), key=lambda item: (item[1], item[0])):
        if number != expected:
            words.append(str(number))
        words.append(name)
        expected = number + 1
    body = textwrap.fill(" ".join(words), width=116, break_on_hyphens=False)
    return f'{constant}: Final = """\n{textwrap.indent(body, "    ")}\n"""\n'


def main() -> None:
    """Print the module."""
    tables = {name: numbers(*flags) for name, flags in HEADERS.items()}
    tables["X86_64"].update(LATER_X86_64)
    everywhere = set.intersection(*(set(table) for table in tables.values()))
    common = {name: number for name, number in tables["AARCH64"].items() if number >= UNIFIED and name in everywhere}
    common.update(zip(LATER.split(), range(LATER_FROM, 1000), strict=False))
    own = {
        architecture: {name: number for name, number in table.items() if name not in common}
        for architecture, table in tables.items()
    }
    # Of x32 only what differs from x86_64.
    own["X32"] = {name: number & ~X32_BIT for name, number in own["X32"].items() if number & ~X32_BIT >= 512}
    print('"""System call numbers, as the kernel\'s headers have them: written by tools/syscall_numbers.py."""\n')
    print("from __future__ import annotations\n\nfrom typing import Final\n")
    for architecture, table in own.items():
        print(block(architecture, table))
    print(block("COMMON", common), end="")


if __name__ == "__main__":
    main()
