"""Every bad input: one clear line, the right exit code, and the host as it was before."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aethel_cli.main import _COMMANDS
from tests.harness import host
from tests.harness.daemon import BIN, Completed, Daemon


@pytest.fixture
def unchanged(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon, which must be found as it was."""
    assert host.wait_until(lambda: host.ports_of(daemon.bridge) == [])
    before = daemon.traces()
    yield daemon
    assert host.wait_until(lambda: daemon.traces() == before), daemon.traces()


def assert_refused(done: Completed, code: int, words: str) -> None:
    assert (done.code, len(done.error_lines)) == (code, 1), done.err
    assert done.out == ""
    assert done.err.startswith("aethel: ")
    assert words in done.err


CREATING = (("run",), ("run", "-d"), ("create",))
NAMING = ("stop", "kill", "rm", "logs", "wait", "start", "attach", "explain", "inspect")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no-such-image",), "no such image: no-such-image (there is: "),
        (("--name", "!", "demo-alpine"), "bad container name"),
        (("--name", "a", "demo-alpine"), "bad container name"),
        (("demo-alpine", ""), "empty command"),
        (("--no-such-option", "demo-alpine"), "--no-such-option"),
        (("--network", "no-such", "demo-alpine"), "no-such"),
        (("--security-opt", "seccomp=x", "demo-alpine"), "seccomp=x"),
        (("--hostname", "-", "demo-alpine"), "host name"),
        (("--stop-signal", "NOPE", "demo-alpine", "true"), "NOPE"),
        (("-e", "=x", "demo-alpine"), "bad variable"),
        (("-l", "=x", "demo-alpine"), "bad label"),
        (("--env-file", "/no/such/file", "demo-alpine"), "/no/such/file"),
        (("--cidfile", "/proc/version", "demo-alpine"), "/proc/version"),
        (("--cidfile", "/no/such/directory/id", "demo-alpine"), "/no/such/directory/id"),
        ((), "IMAGE"),
    ],
)
def test_what_cannot_be_created(unchanged: Daemon, arguments: tuple[str, ...], words: str) -> None:
    for verb in CREATING:
        assert_refused(unchanged.aethel(*verb, *arguments), 125, words)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("demo-alpine", "no-such-command"), 127, "not found"),
        (("demo-alpine", "/no/such/file"), 127, "no such file"),
        (("demo-alpine", "/etc"), 126, "is a directory"),
        (("demo-alpine", "/etc/passwd"), 126, "permission denied"),
        (("-w", "relative", "demo-alpine", "true"), 125, "not absolute"),
        (("-w", "/etc/passwd", "demo-alpine", "true"), 125, "/etc/passwd"),
        (("-u", "nobody-there", "demo-alpine", "true"), 125, "nobody-there"),
        (("-u", "0:no-group", "demo-alpine", "true"), 125, "no-group"),
        (("-u", "4294967296", "demo-alpine", "true"), 125, "out of range"),
    ],
)
def test_what_cannot_be_started(unchanged: Daemon, arguments: tuple[str, ...], code: int, words: str) -> None:
    for verb in CREATING[:-1]:
        assert_refused(unchanged.aethel(*verb, *arguments), code, words)


@pytest.mark.parametrize("name", ["no-such", "", "a\nb\x1b[31m"])
def test_an_unknown_container(unchanged: Daemon, name: str) -> None:
    for verb in NAMING[:-1]:
        assert_refused(unchanged.aethel(verb, name), 125 if verb == "attach" else 1, "no such container")
    assert_refused(unchanged.aethel("start", "-a", name), 125, "no such container")


def test_an_unknown_container_is_told_beside_those_that_are_known(unchanged: Daemon) -> None:
    done = unchanged.aethel("inspect", "no-such")
    assert (done.code, len(done.error_lines), json.loads(done.out)) == (1, 1, [])
    assert "no such container: no-such" in done.err


def test_an_ambiguous_prefix(daemon: Daemon) -> None:
    ids = [daemon.aethel("create", "demo-alpine").out.strip()]
    while len({each[0] for each in ids}) == len(ids):
        ids.append(daemon.aethel("create", "demo-alpine").out.strip())
    before = daemon.traces()
    codes = {"attach": 125, "explain": 2, "logs": 2, "wait": 2}
    for verb in NAMING:
        done = daemon.aethel(verb, ids[-1][0])
        assert (done.code, len(done.error_lines)) == (codes.get(verb, 1), 1), done.err
        assert "ambiguous container id" in done.err
        assert ids[-1][:12] in done.err
    assert daemon.traces() == before
    assert daemon.aethel("rm", *ids).code == 0


def test_bad_words(unchanged: Daemon) -> None:
    for arguments, code, words in (
        (("no-such-command",), 2, "no-such-command"),
        (("ps", "--no-such-option"), 2, "--no-such-option"),
        (("stop",), 2, "CONTAINER"),
        (("kill", "-s", "NOPE", "no-such"), 1, "NOPE"),
        (("image", "build", "no-such"), 1, "no such recipe: no-such (there is: demo-alpine"),
        (("image", "no-such"), 2, "no-such"),
        (("info", "--format", "xml"), 2, "xml"),
        (("--no-such",), 2, "--no-such"),
    ):
        assert_refused(unchanged.aethel(*arguments), code, words)


def test_a_name_is_given_once(daemon: Daemon) -> None:
    first = daemon.aethel("create", "--name", "unique", "demo-alpine").out.strip()
    before = daemon.traces()
    for verb in (("run",), ("run", "-d"), ("create",)):
        assert_refused(daemon.aethel(*verb, "--name", "unique", "demo-alpine", "true"), 125, first[:12])
        assert daemon.traces() == before
    assert daemon.aethel("rm", "unique").code == 0


def test_a_result_that_cannot_be_written_is_told(daemon: Daemon) -> None:
    for arguments, code in ((("info",), 1), (("ps",), 1), (("run", "--rm", "demo-alpine", "echo", "x"), 125)):
        with open("/dev/full", "wb") as full, daemon.spawn(*arguments, stdout=full, stderr=subprocess.PIPE) as client:
            _, err = client.communicate(timeout=30)
        assert (client.returncode, err.count(b"\n")) == (code, 1), err
        assert b"No space left on device" in err
    assert host.wait_until(lambda: daemon.aethel("ps", "-aq").out == "")


# -- no daemon ---------------------------------------------------------------------------------------

ARGUMENTS = {
    "attach": ("x",),
    "create": ("demo-alpine",),
    "explain": ("x",),
    "image": ("build", "demo-alpine"),
    "inspect": ("x",),
    "kill": ("x",),
    "logs": ("x",),
    "rm": ("x",),
    "run": ("demo-alpine", "true"),
    "start": ("x",),
    "stop": ("x",),
    "wait": ("x",),
}


@pytest.fixture(scope="module")
def stale() -> Iterator[Path]:
    """A socket on which nobody listens any more."""
    with tempfile.TemporaryDirectory(prefix="stale-") as directory:
        path = Path(directory) / "s"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
        yield path


@pytest.mark.parametrize("command", sorted(_COMMANDS))
@pytest.mark.parametrize("where", ["nowhere", "stale"])
def test_without_a_daemon_one_line_says_how_to_start_it(stale: Path, command: str, where: str) -> None:
    path = {"nowhere": "/nowhere/at/all", "stale": str(stale)}[where]
    done = subprocess.run(
        [str(BIN / "aethel"), "-H", path, command, *ARGUMENTS.get(command, ())],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (125, 1), done.stderr
    assert done.stderr == f"aethel: no daemon answers on {path} (start it with: sudo aethel-d)\n"


# -- a corrupt image ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def damaged() -> Iterator[Daemon]:
    """A daemon whose image is damaged by one test after the other, and mended in between."""
    running = Daemon()
    assert running.aethel("image", "build", "demo-alpine").code == 0
    yield running
    running.close()


class Blobs:
    """The blobs of the image, to be damaged."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._directory = daemon.state / "content/blobs/sha256"
        ((digest, size),) = daemon.rows("SELECT digest, size FROM images WHERE name = 'demo-alpine'")
        self._good = {"digest": digest, "size": size}
        self._manifest = json.loads(self._path(str(digest)).read_text())
        self.paths = {
            "manifest": self._path(str(digest)),
            "config": self._path(self._manifest["config"]["digest"]),
            "layer": self._path(self._manifest["layers"][0]["digest"]),
        }
        self._bytes = {path: path.read_bytes() for path in self.paths.values()}

    def substitute(self, which: str, data: bytes) -> None:
        """Another blob in its place, with digests and sizes that agree: so was the image made."""
        descriptor = self._put(data)
        if which != "manifest":
            part = self._manifest["config"] if which == "config" else self._manifest["layers"][0]
            part.update(descriptor)
            descriptor = self._put(json.dumps(self._manifest).encode())
        self._name(descriptor)

    def mend(self) -> None:
        """As it was."""
        for path, data in self._bytes.items():
            path.write_bytes(data)
        self._name(self._good)

    def _name(self, descriptor: dict[str, object]) -> None:
        with contextlib.closing(sqlite3.connect(self._daemon.state / "aethelred.db")) as sql, sql:
            sql.execute("UPDATE images SET digest = :digest, size = :size", descriptor)

    def _put(self, data: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._path(digest).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    def _path(self, digest: str) -> Path:
        return self._directory / digest.removeprefix("sha256:")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


CUT_GZIP = gzip.compress(random.Random(1).randbytes(100_000), mtime=0)[:50_000]


@pytest.mark.parametrize(
    ("which", "damage", "words"),
    [
        ("manifest", flip, "is damaged"),
        ("manifest", Path.unlink, "is missing"),
        ("manifest", b"{not JSON", "manifest"),
        ("manifest", b"[]", "manifest"),
        ("manifest", b'{"schemaVersion": 2, "layers": [], "manifests": []}', "manifest"),
        ("config", flip, "is damaged"),
        ("config", Path.unlink, "is missing"),
        ("config", b"{not JSON", "configuration"),
        ("layer", flip, "damaged"),
        ("layer", Path.unlink, "is missing"),
        ("layer", cut, "ended before"),
        ("layer", CUT_GZIP, "ended before"),
        ("layer", gzip.compress(b"not a tar", mtime=0), "demo-alpine"),
        ("layer", b"", "demo-alpine"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, bytes) else getattr(value, "__name__", value),
)
def test_a_damaged_image(damaged: Daemon, which: str, damage: bytes | Callable[[Path], None], words: str) -> None:
    daemon = damaged
    for path in (daemon.state / "layers").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    blobs = Blobs(daemon)
    if isinstance(damage, bytes):
        blobs.substitute(which, damage)
    else:
        damage(blobs.paths[which])
    before = daemon.traces()
    for verb in (("run",), ("create",)):
        done = daemon.aethel(*verb, "demo-alpine", "true")
        assert_refused(done, 125, words)
        assert "image demo-alpine" in done.err
    after = daemon.traces()
    assert [name for name in after["directories"]["layers"] if name != ".lock"] == []
    after["directories"]["layers"] = before["directories"]["layers"]
    assert after == before
    blobs.mend()


def test_a_damaged_image_is_mended_as_the_hint_says(damaged: Daemon) -> None:
    for path in Blobs(damaged).paths.values():
        flip(path)
    done = damaged.aethel("run", "demo-alpine", "true")
    assert "build or pull the image again" in done.err
    assert damaged.aethel("image", "build", "-q", "demo-alpine").code == 0
    assert damaged.shell("true").code == 0


# -- the daemon's own ----------------------------------------------------------------------------------


def test_a_second_daemon_on_the_same_state_is_refused(unchanged: Daemon) -> None:
    """Also when it would serve another socket."""
    for flags in ((), (f"--socket={unchanged.root}/other",)):
        done = subprocess.run([*unchanged.command, *flags], capture_output=True, text=True, check=False, timeout=20)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert f"another daemon (process {unchanged.pid}) uses {unchanged.state}" in done.stderr
    assert not (unchanged.root / "other").exists()
    assert unchanged.aethel("version").code == 0


def test_a_second_daemon_on_the_same_socket_is_refused(unchanged: Daemon, tmp_path: Path) -> None:
    flags = (f"--state-root={tmp_path}/state", f"--run-root={tmp_path}/run")
    done = subprocess.run([*unchanged.command, *flags], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"somebody answers on {unchanged.socket} already" in done.stderr
    assert unchanged.aethel("version").code == 0


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--subnet=nonsense", "subnet"),
        ("--bridge=a/b", "bridge"),
        ("--log-level=loud", "log_level"),
        ("--state-root=relative", "state_root"),
        ("--config=/no/such/file", "/no/such/file"),
        ("--state-root=/proc/version/x", "/proc/version"),
    ],
)
def test_a_daemon_with_a_bad_setting_does_not_begin(unchanged: Daemon, flag: str, words: str) -> None:
    done = subprocess.run([*unchanged.command, flag], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("aethel-d: ")
    assert words in done.stderr


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/aethelred.db").write_bytes(b"something else" * 1000)
    flags = [f"--{name}={tmp_path}/{name}" for name in ("state-root", "run-root", "cache-root", "socket")]
    flags[0] = f"--state-root={tmp_path}/state"
    done = subprocess.run([str(BIN / "aethel-d"), *flags], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "aethelred.db" in done.stderr
    assert not os.path.lexists(tmp_path / "socket")
