"""aethel run -it, through a real pseudo-terminal."""

from __future__ import annotations

import pexpect
import pytest

from tests.harness.daemon import BIN, Daemon
from tests.harness.host import patience


def interactive(daemon: Daemon, *arguments: str) -> pexpect.spawn:
    shell = pexpect.spawn(
        str(BIN / "aethel"),
        ["run", *arguments],
        env=daemon.environment,
        timeout=patience(20),
        dimensions=(33, 77),
        encoding="utf-8",
    )
    shell.delaybeforesend = None
    return shell


@pytest.mark.parametrize("options", [("-it", "--rm"), ("--rm",)])
def test_a_shell_of_one_s_own(daemon: Daemon, options: tuple[str, ...]) -> None:
    shell = interactive(daemon, *options, "demo-alpine")
    shell.expect("# ")
    shell.sendline("tty; stty size; echo $((40+2))")
    shell.expect("/dev/pts/0")
    shell.expect("33 77")
    shell.expect("42\r\n")
    shell.setwinsize(44, 99)
    shell.expect("# ")
    shell.sendline("sleep 0.3; stty size")
    shell.expect("44 99")
    shell.sendline("exit 3")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 3


def test_ctrl_c_interrupts_the_command_and_not_the_shell(daemon: Daemon) -> None:
    shell = interactive(daemon, "-it", "--rm", "demo-alpine")
    shell.expect("# ")
    # Not before it is in the foreground: what it prints tells, what we typed does not.
    shell.sendline("sh -c 'echo in the fore\"\"ground; sleep 100'")
    shell.expect("in the foreground\r\n")
    shell.sendintr()
    shell.expect("# ")
    shell.sendline("echo $?")
    shell.expect("130")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


def test_the_detach_keys_leave_it_running(daemon: Daemon) -> None:
    shell = interactive(daemon, "-it", "--name", "detached", "demo-alpine")
    shell.expect("# ")
    shell.send("\x10\x11")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0
    assert daemon.inspect("detached")["State"]["Running"]
    assert daemon.aethel("rm", "-f", "detached").code == 0


def test_a_terminal_is_asked_for_only_at_a_terminal(daemon: Daemon) -> None:
    done = daemon.aethel("run", "--rm", "-it", "demo-alpine")
    assert done.code == 125
    assert "not a terminal" in done.err
