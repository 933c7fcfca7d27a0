"""`make bench`: what a start costs, beside runc and unshare in the same run. Medians; a goal, not a test.

The first two lines are the floor of every command: a Python that starts, and one that has loaded gRPC.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.harness.daemon import Daemon
from tests.harness.host import children, wait_until

RUNS = 20
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
    """busybox under runc's own default document, without a terminal."""
    (directory / "rootfs/bin").mkdir(parents=True)
    quiet("cp", "/bin/busybox", str(directory / "rootfs/bin/"))
    quiet("runc", "spec", "-b", str(directory))
    config = json.loads((directory / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["/bin/busybox", "true"]}
    config["process"].pop("rlimits", None)
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def main() -> None:
    rows = [
        ("python -c pass", median_ms(lambda: quiet(sys.executable, "-c", "pass"))),
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
    with tempfile.TemporaryDirectory() as directory:
        bundle = runc_bundle(Path(directory))
        runc = ("runc", "--root", f"{directory}/state", "run", "-b", str(bundle))
        rows.append(("runc run", median_ms(lambda: quiet(*runc, f"bench{time.time_ns()}"))))
    command = ("unshare", "-Urpfmnui", "--mount-proc", "/bin/busybox", "true")
    rows.append(("unshare -Urpfmnui --mount-proc", median_ms(lambda: quiet(*command))))
    for name, ms in rows:
        print(f"{name:36} {ms:8.1f} ms")
    print(f"{'one monitor, private memory':36} {private:8} kB")


if __name__ == "__main__":
    main()
