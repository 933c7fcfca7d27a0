"""Which devices of the host a request means."""

from __future__ import annotations

from pathlib import Path

import pytest

from aethel_common.errors import InvalidArgument, NotFound
from aethel_d.engine import devices
from aethel_d.engine.asked import DeviceRequest
from aethel_run.spec.linux import DeviceType


def test_a_device_is_what_the_host_has_under_that_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    request = DeviceRequest(host_path=str(tmp_path / "link"), container_path="/dev/x", access="r")
    (found,) = devices.requested([request])
    assert (found.device.type, found.device.major, found.device.minor) == (DeviceType.CHARACTER, 1, 3)
    assert (found.device.path, found.device.file_mode, found.access) == ("/dev/x", 0o666, "r")


def test_of_one_place_the_last_counts() -> None:
    asked = [DeviceRequest(host_path=path, container_path="/dev/x") for path in ("/dev/null", "/dev/zero")]
    assert [each.device.minor for each in devices.requested(asked)] == [5]


def test_everything_has_no_terminals_of_the_host() -> None:
    paths = {each.device.path for each in devices.everything()}
    assert {"/dev/null", "/dev/zero", "/dev/full"} <= paths
    assert not {"/dev/console", "/dev/ptmx"} & paths
    assert not any(path.startswith(("/dev/pts/", "/dev/shm/")) for path in paths)


def test_what_is_no_device_is_refused(tmp_path: Path) -> None:
    for path, kind in ((str(tmp_path / "nothing"), NotFound), (str(tmp_path), InvalidArgument)):
        with pytest.raises(kind, match=path):
            devices.requested([DeviceRequest(host_path=path, container_path="/dev/x")])
    with pytest.raises(InvalidArgument, match="not a device"):
        devices.requested([DeviceRequest(host_path=__file__, container_path="/dev/x")])
