"""Images: built at their first use; a damaged one is told, and leaves nothing behind."""

from __future__ import annotations

from tests.harness.daemon import Daemon


def test_a_recipe_is_built_at_its_first_use(own_daemon: Daemon) -> None:
    assert own_daemon.aethel("images", "-q").out == ""
    done = own_daemon.shell("cat /etc/alpine-release; apk info 2>/dev/null | wc -l")
    assert done.out.split() == ["3.23.6", "17"]
    assert "building demo-alpine" in done.err
    assert own_daemon.shell("true").err == ""
    missing = own_daemon.aethel("run", "no-such")
    assert "there is: demo-alpine" in missing.err


def test_the_package_manager_finds_every_file_as_it_should_be(daemon: Daemon) -> None:
    done = daemon.shell("apk audit --system && echo audited; echo x >> /usr/bin/ldd; apk audit --system")
    assert done.out == "audited\nU usr/bin/ldd\n", done.err


def test_the_fallback_image_says_what_it_is(daemon: Daemon) -> None:
    done = daemon.aethel(
        "run", "--rm", "-q", "demo-busybox", "sh", "-c", "cat /etc/os-release; id -un; ls /bin/ash; pwd"
    )
    assert done.code == 0, done.err
    assert "ID=demo-busybox" in done.out
    assert done.out.splitlines()[-3:] == ["root", "/bin/ash", "/"]
    assert "alpine" not in done.out.lower()
    assert "demo-busybox" in daemon.aethel("images").out
