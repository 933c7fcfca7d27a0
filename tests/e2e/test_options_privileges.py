"""What a container's programs may do, seen from inside: capabilities, seccomp, hidden paths, groups, --privileged."""

from __future__ import annotations

import json
from pathlib import Path

from tests.harness.daemon import Daemon

STATUS = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status"


def status(text: str) -> dict[str, int]:
    lines = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key: int(value, 16) for key, value in lines if key.startswith(("Cap", "NoNew", "Seccomp"))}


def test_capabilities_are_exactly_those_asked_for(daemon: Daemon) -> None:
    done = daemon.shell(STATUS, "--cap-drop", "ALL", "--cap-add", "net_admin", "--cap-add", "CAP_KILL")
    found = status(done.out)
    assert found["CapEff"] == found["CapPrm"] == found["CapBnd"] == 1 << 12 | 1 << 5
    assert found["CapInh"] == found["CapAmb"] == 0


def test_all_capabilities_reach_root_and_nobody_else(daemon: Daemon) -> None:
    """CVE-2022-24769: nothing inheritable; a user who is not root gets what programs with file capabilities may get."""
    found = status(daemon.shell(STATUS, "--cap-add", "ALL", "-u", "guest").out)
    assert found["CapBnd"] == (1 << 41) - 1
    assert found["CapEff"] == found["CapPrm"] == found["CapInh"] == found["CapAmb"] == 0


def test_a_capability_works_with_the_filter_that_goes_with_it(daemon: Daemon) -> None:
    script = "mount -t tmpfs x /mnt 2>/dev/null && echo mounted || echo refused"
    assert daemon.shell(script).out == "refused\n"
    assert daemon.shell(script, "--cap-add", "SYS_ADMIN").out == "mounted\n"


def test_security_options_take_effect_together(daemon: Daemon, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    rules = [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95, "args": None},
        {"names": ["rmdir", "unlinkat"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_BOOT"]}},
    ]
    arch_map = [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    ]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "archMap": arch_map, "syscalls": rules}))
    done = daemon.shell(
        f"{STATUS}; mkdir /x; rmdir /mnt && echo removed; wc -c < /etc/alpine-release; "
        "test -w /proc/sys/kernel/hostname && echo writable; wc -c < /proc/keys",
        *("--security-opt", f"seccomp={profile}", "--security-opt", "no-new-privileges"),
        *("--security-opt", "mask=/etc/alpine-release:/root", "--security-opt", "unmask=/proc/sys"),
    )
    found = status(done.out)
    assert (found["NoNewPrivs"], found["Seccomp"]) == (1, 2)
    assert done.out.splitlines()[-4:] == ["removed", "0", "writable", "0"]
    assert "supported" in done.err  # EOPNOTSUPP, 95


def test_nothing_is_hidden_and_nothing_filtered_when_asked(daemon: Daemon) -> None:
    done = daemon.shell(
        f"{STATUS}; grep -c ' /proc/' /proc/self/mountinfo",
        *("--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined"),
    )
    assert status(done.out)["Seccomp"] == 0
    assert done.out.splitlines()[-1] == "0"


def test_privileged_has_everything_and_says_so(daemon: Daemon) -> None:
    done = daemon.aethel("create", "--privileged", "--name", "mighty", "demo-alpine", "sh", "-c",
        f"{STATUS}; cat /proc/self/uid_map; grep -c ' /proc/' /proc/self/mountinfo; "
        "for path in /sys /sys/fs/cgroup; do grep \" $path \" /proc/mounts | cut -d' ' -f4 | cut -d, -f1; done; "
        "mkdir /sys/fs/cgroup/below && echo made; mknod /n c 1 3 && echo > /n && echo opened; ls /dev")  # fmt: skip
    assert done.code == 0, done.err
    lines = daemon.aethel("start", "-a", "mighty").out.splitlines()
    found = status("\n".join(lines))
    host = status(Path("/proc/self/status").read_text())
    assert found["CapEff"] == found["CapBnd"] == host["CapBnd"]
    assert (found["CapInh"], found["CapAmb"], found["Seccomp"]) == (0, 0, 0)
    rest = lines[len(found) :]
    assert rest[0].split() == ["0", "0", "4294967295"]
    assert rest[1:6] == ["0", "rw", "rw", "made", "opened"]
    assert {"null", "zero", "full", "tty0"} & {path.name for path in Path("/dev").iterdir()} <= set(rest[6:])
    detail = daemon.inspect("mighty")
    daemon.aethel("rm", "mighty")
    config = detail["HostConfig"]
    assert (config["Privileged"], config["UsernsMode"]) == (True, "host")
    assert config["MaskedPaths"] == config["ReadonlyPaths"] == []
    assert len(detail["BoundingCaps"]) == 41


def test_groups_are_added_by_name_and_number(daemon: Daemon) -> None:
    """CVE-2022-36109: with the primary one among them."""
    done = daemon.shell("id -u; id -G", "-u", "405:100", "--group-add", "wheel", "--group-add", "7777")
    assert done.out.splitlines() == ["405", "100 10 7777"]


def test_a_setting_gives_no_new_privileges_to_all_who_do_not_say_otherwise(own_daemon: Daemon) -> None:
    own_daemon.stop()
    own_daemon.settings["no-new-privileges"] = "true"
    own_daemon.start()
    script = "grep NoNewPrivs /proc/self/status"
    assert own_daemon.shell(script).out.split()[1] == "1"
    assert own_daemon.shell(script, "--security-opt", "no-new-privileges=false").out.split()[1] == "0"
