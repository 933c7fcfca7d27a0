"""What a forked init carries must have been loaded before, and must hold no lock of a thread that it does not have."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import aethel_run.seccomp.compile, aethel_run.seccomp.notify, aethel_run.seccomp.profile
print([name for name in ("threading", "asyncio", "grpc", "google.protobuf", "concurrent") if name in sys.modules])
before = set(sys.modules)
profile = aethel_run.seccomp.profile.default_profile(frozenset(["CAP_SYS_ADMIN"]), "x86_64")
aethel_run.seccomp.compile.compile_profile(profile, "x86_64").program
print(sorted(set(sys.modules) - before))
"""


def test_the_room_loads_no_threads_and_nothing_late() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
