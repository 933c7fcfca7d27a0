"""Settings that the kernel keeps, seen from inside; and that inspect tells all of them under Docker's keys."""

from __future__ import annotations

from tests.harness.daemon import Daemon

OPTIONS = (
    *("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--umask", "027", "--shm-size", "1m"),
    *("--tmpfs", "/x/y:size=1m,exec,mode=0710", "--tmpfs", "/x", "--tmpfs", "/etc/apk:tmpcopyup"),
    *("--sysctl", "net.ipv4.ip_default_ttl=63", "--sysctl", "kernel.msgmax=9000"),
    *("--domainname", "example.org", "--hostname", "web", "--annotation", "org.example.a=b", "--label", "c=d"),
)
SCRIPT = """
ulimit -Sn; ulimit -Hn; ulimit -c; umask
df -k /dev/shm | tail -n 1 | awk '{print $2}'
stat -c %a /x/y /x
grep ' /x' /proc/mounts | cut -d' ' -f2,4 | cut -d, -f1-4
test -s /etc/apk/repositories -o -d /etc/apk/keys && echo copied
cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax /proc/sys/kernel/domainname
tail -n 1 /etc/hosts | cut -f2
"""


def test_settings_take_effect_together(daemon: Daemon) -> None:
    done = daemon.aethel("create", "--name", "set", *OPTIONS, "demo-alpine", "sh", "-c", SCRIPT)
    assert done.code == 0, done.err
    done = daemon.aethel("start", "-a", "set")
    assert done.out.splitlines() == [
        *("100", "200", "0", "0027", "1024"),
        *("710", "1777"),
        *("/x rw,nosuid,nodev,noexec", "/x/y rw,nosuid,nodev,relatime"),
        "copied",
        *("63", "9000", "example.org", "web.example.org web"),
    ], done.err
    detail = daemon.inspect("set")
    daemon.aethel("rm", "set")
    config = detail["HostConfig"]
    assert config["Ulimits"] == [
        {"Name": "nofile", "Soft": 100, "Hard": 200},
        {"Name": "core", "Soft": 0, "Hard": 0},
    ]
    assert config["Sysctls"] == {"net.ipv4.ip_default_ttl": "63", "kernel.msgmax": "9000"}
    assert config["Tmpfs"] == {"/x/y": "size=1m,exec,mode=0710", "/x": "", "/etc/apk": "tmpcopyup"}
    assert (config["ShmSize"], config["Annotations"]) == (1024 * 1024, {"org.example.a": "b"})
    assert detail["Config"]["Domainname"] == "example.org"


def test_a_tmpfs_lies_below_the_files_that_we_bring(daemon: Daemon) -> None:
    done = daemon.shell(
        "ls /etc; wc -l < /etc/hosts; df -k /dev/shm | tail -n 1", "--tmpfs", "/etc", "--tmpfs", "/dev/shm:size=2m"
    )
    lines = done.out.splitlines()
    assert lines[:3] == ["hostname", "hosts", "resolv.conf"]
    assert int(lines[3]) > 1
    assert lines[4].split()[1] == "2048"


def test_annotations_are_in_the_document_and_labels_are_not(daemon: Daemon) -> None:
    """CVE-2026-53488 was a label that a lower layer took for an order."""
    name = daemon.detached("sleep 100", "--annotation", "a=b", "--label", "c=d")
    document = (daemon.run / "containers" / name / "config.json").read_text()
    daemon.aethel("rm", "-f", name)
    assert '"annotations":{"a":"b"}' in document
