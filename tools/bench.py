"""`make bench`: what a start costs, beside runc, crun and unshare in the same run. Medians; a goal, not a test.

The first lines are the floor of the commands: a Python that starts, and one that has loaded what they cannot do without.
All runtimes run the same bundle, runc's own default document with a static busybox.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from aethel_run.cgroup.managers.cgroupfs import Cgroupfs
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_run.lifecycle.create import CreateOptions, create
from aethel_run.lifecycle.rootfs import open_directory
from aethel_run.spec.load import decode
from tests.harness.daemon import Daemon
from tests.harness.host import children, wait_until

RUNS = 20
_RUNTIMES = "--runtimes"
RUN = ("run", "--rm", "demo-alpine", "true")


def median_ms(action: Callable[[], object], runs: int = RUNS) -> float:
    """After one run that is not counted."""
    action()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def starts_ms(daemon: Daemon) -> float:
    """Create to exec inside the daemon, as its log tells."""
    return statistics.median(float(ms) for ms in re.findall(r"start \w+: ([\d.]+) ms", daemon.log.read_text())[-RUNS:])


def monitor_kb(daemon: Daemon) -> int:
    """Private memory of one monitor whose container sleeps. man 5 proc, smaps_rollup"""
    name = daemon.detached("sleep 100")
    monitor = daemon.inspect(name)["MonitorPid"]
    # Its creator, which shares pages with it until it ends, is out of the way when init is its only child.
    assert wait_until(lambda: len(children(monitor)) == 1)
    rollup = Path(f"/proc/{monitor}/smaps_rollup").read_text()
    done(daemon, "rm", "-f", name)
    return sum(int(kb) for kb in re.findall(r"Private_\w+: +(\d+) kB", rollup))


def done(daemon: Daemon, *arguments: str) -> None:
    """A command that must succeed: one that fails at once would look quick."""
    completed = daemon.aethel(*arguments)
    assert completed.code == 0, completed.err


def quiet(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def runc_bundle(directory: Path) -> Path:
    """busybox under runc's own default document, without a terminal, and without what crun may not always ask for."""
    (directory / "rootfs/bin").mkdir(parents=True)
    quiet("cp", "/bin/busybox", str(directory / "rootfs/bin/"))
    quiet("runc", "spec", "-b", str(directory))
    config = json.loads((directory / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["/bin/busybox", "true"]}
    config["process"].pop("rlimits", None)
    config["process"]["capabilities"].pop("ambient", None)
    config["linux"].pop("resources", None)
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def in_process_ms(bundle: Path) -> float:
    """Create to exec by the library: what is left of `aethel-run run` without Python's start and its imports."""
    spec = decode((bundle / "config.json").read_bytes())
    rootfs = open_directory(str(bundle / "rootfs"))
    times = []
    for _ in range(RUNS + 1):
        cgroup = Cgroupfs(Cgroup(mount_point() / f"bench{time.time_ns()}"))
        began = time.perf_counter()
        container = create(spec, CreateOptions(open_rootfs=rootfs, cgroup=cgroup.make(spec.linux.resources)))
        container.start()
        times.append((time.perf_counter() - began) * 1000)
        os.waitid(os.P_PIDFD, container.pidfd, os.WEXITED)
        os.close(container.pidfd)
        cgroup.remove(cgroup.cgroup)
    return statistics.median(times[1:])


def runtimes(directory: Path) -> list[tuple[str, float]]:
    """The same bundle by each runtime there is."""
    bundle = runc_bundle(directory)
    commands = {
        "runc run": ("runc", "--root", f"{directory}/runc"),
        "crun run": ("crun", "--root", f"{directory}/crun"),
        "aethel-run run": (str(Path(sys.executable).parent / "aethel-run"), "--root", f"{directory}/aethel"),
    }
    rows = [("create to exec, in process", in_process_ms(bundle))]
    for name, command in commands.items():
        run = (*command, "run", "--bundle", str(bundle))
        rows.append((name, median_ms(lambda run=run: quiet(*run, f"bench{time.time_ns()}"))))  # type: ignore[misc]
    return rows


def runtimes_alone() -> list[tuple[str, float]]:
    """In a mount namespace where only cgroup2 is to be seen: crun refuses a host that has both versions."""
    script = f'[ {mount_point()} = /sys/fs/cgroup ] || mount --rbind {mount_point()} /sys/fs/cgroup; exec "$@"'
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "-"]
    answer = subprocess.run([*alone, sys.executable, __file__, _RUNTIMES], stdout=subprocess.PIPE, check=True)
    return [(name, ms) for name, ms in json.loads(answer.stdout)]


def main() -> None:
    if sys.argv[-1] == _RUNTIMES:
        with tempfile.TemporaryDirectory() as directory:
            print(json.dumps(runtimes(Path(directory))))
        return
    rows = [
        ("python -c pass", median_ms(lambda: quiet(sys.executable, "-c", "pass"))),
        (
            "python -c 'import msgspec, ctypes'",
            median_ms(lambda: quiet(sys.executable, "-c", "import msgspec, ctypes")),
        ),
        ("python -c 'import grpc'", median_ms(lambda: quiet(sys.executable, "-c", "import grpc"))),
    ]
    daemon = Daemon()
    try:
        rows.append(("aethel ps", median_ms(lambda: done(daemon, "ps"))))
        rows.append(("aethel run --rm demo-alpine true", median_ms(lambda: done(daemon, *RUN))))
        rows.append(("create to exec, daemon side", starts_ms(daemon)))
        private = monitor_kb(daemon)
    finally:
        daemon.close()
    rows += runtimes_alone()
    command = ("unshare", "-Urpfmnui", "--mount-proc", "/bin/busybox", "true")
    rows.append(("unshare -Urpfmnui --mount-proc", median_ms(lambda: quiet(*command))))
    for name, ms in rows:
        print(f"{name:36} {ms:8.1f} ms")
    print(f"{'one monitor, private memory':36} {private:8} kB")


if __name__ == "__main__":
    main()
