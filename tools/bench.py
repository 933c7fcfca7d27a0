"""`make bench`: how long a start takes, beside runc and unshare in the same run. Medians; a goal, not a test."""

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

RUNS = 20


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
    """Private memory of one monitor. man 5 proc, smaps_rollup"""
    name = daemon.detached("sleep 100")
    rollup = Path(f"/proc/{daemon.inspect(name)['MonitorPid']}/smaps_rollup").read_text()
    daemon.aethel("rm", "-f", name)
    return sum(int(kb) for kb in re.findall(r"Private_\w+: +(\d+) kB", rollup))


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
    daemon = Daemon()
    try:
        run = median_ms(lambda: daemon.aethel("run", "--rm", "demo-alpine", "true"))
        rows = [
            ("create to exec, daemon side", starts_ms(daemon)),
            ("aethel run --rm demo-alpine true", run),
            ("aethel ps", median_ms(lambda: daemon.aethel("ps"))),
        ]
        private = monitor_kb(daemon)
    finally:
        daemon.close()
    with tempfile.TemporaryDirectory() as directory:
        bundle = runc_bundle(Path(directory))
        rows.append(("runc run", median_ms(lambda: quiet("runc", "run", "-b", str(bundle), f"bench{time.time_ns()}"))))
    command = ("unshare", "-Urpfmnui", "--mount-proc", "/bin/busybox", "true")
    rows.append(("unshare -Urpfmnui --mount-proc", median_ms(lambda: quiet(*command))))
    for name, ms in rows:
        print(f"{name:36} {ms:8.1f} ms")
    print(f"{'one monitor, private memory':36} {private:8} kB")


if __name__ == "__main__":
    main()
