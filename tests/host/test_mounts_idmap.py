"""idmap and ridmap of config.md#linux-mount-options, and uidMappings and gidMappings of config.md#posix-platform-mounts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aethel_common.errors import InvalidSpec, Unsupported
from aethel_common.linux import mounts
from aethel_common.linux.mounts import MountFlags
from tests.harness.bundle import ID_BASE, Bundle, bind, in_shared_mounts


def mappings(inside: int, on_host: int, size: int = 1000) -> dict[str, Any]:
    both = [{"containerID": inside, "hostID": on_host, "size": size}]
    return {"uidMappings": both, "gidMappings": both}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    (path / "file").write_text("")
    os.chown(path / "file", 5, 6)
    return path


@pytest.mark.parametrize("word", ["idmap", "ridmap"])
def test_without_mappings_it_is_the_containers_own(bundle: Bundle, source: Path, word: str) -> None:
    """If they are not specified, the runtime MAY use the container's user namespace mapping."""
    done = bundle.run("stat -c %u:%g /x/file", {"mounts+": [bind(source, "/x", word)]}, users=True)
    assert done.out == "5:6\n"


def test_what_is_written_through_it_belongs_to_the_hosts_ids(bundle: Bundle, source: Path) -> None:
    """The mount MUST have an idmapping applied."""
    source.chmod(0o755)
    os.chown(source, 0, 0)
    assert bundle.run("touch /x/new", {"mounts+": [bind(source, "/x", "idmap")]}, users=True).status == 0
    status = (source / "new").stat()
    assert (status.st_uid, status.st_gid) == (0, 0)


@pytest.mark.parametrize("users", [False, True])
def test_its_own_mappings_are_used(bundle: Bundle, source: Path, users: bool) -> None:
    """If mappings are specified for the mount, the runtime MUST use those values; with or without a user namespace."""
    base = ID_BASE if users else 0
    entry = bind(source, "/x", "idmap", **mappings(0, base + 1000))
    assert bundle.run("stat -c %u:%g /x/file", {"mounts+": [entry]}, users=users).out == "1005:1006\n"


def test_mappings_without_the_word_are_used_too(bundle: Bundle, source: Path) -> None:
    """config.md#posix-platform-mounts: the options SHOULD contain it, and the mappings count without."""
    entry = bind(source, "/x", **mappings(0, 2000))
    assert bundle.run("stat -c %u:%g /x/file", {"mounts+": [entry]}).out == "2005:2006\n"


def test_each_mount_has_its_own_and_the_same_ones_share_a_namespace(bundle: Bundle, source: Path) -> None:
    """config.md#posix-platform-mounts"""
    entries = [bind(source, f"/{to}/{n}", "idmap", **mappings(0, to)) for to in (3000, 4000) for n in (1, 2)]
    done = bundle.run("stat -c %u /3000/1/file /3000/2/file /4000/1/file /4000/2/file", {"mounts+": entries})
    assert done.lines == ["3005", "3005", "4005", "4005"]


def test_only_ridmap_reaches_what_is_mounted_below(bundle: Bundle, source: Path) -> None:
    """ridmap: the mapping is applied recursively."""
    (source / "below").mkdir()

    def check() -> None:
        # A second ext4 is not at hand everywhere: the same one, mounted below itself.
        mounts.mount(str(source), str(source / "below"), None, MountFlags.BIND, None)
        for word, expected in (("idmap", "5"), ("ridmap", "1005")):
            entry = bind(source, "/x", word, **mappings(0, 1000))
            done = bundle.run("stat -c %u /x/file /x/below/file", {"mounts+": [entry]})
            assert done.lines == ["1005", expected]

    in_shared_mounts(check)


def test_without_mappings_and_without_a_user_namespace_it_is_an_error(bundle: Bundle, source: Path) -> None:
    """If there are no mappings and the container isn't using user namespaces, an error MUST be returned."""
    for word in ("idmap", "ridmap"):
        with pytest.raises(InvalidSpec, match=r"mounts\[7\].*user namespace"):
            bundle.spec("true", {"mounts+": [bind(source, "/x", word)]})


def test_one_kind_of_mappings_alone_is_an_error(bundle: Bundle, source: Path) -> None:
    """If specified, uidMappings MUST be specified along with gidMappings."""
    entry = bind(source, "/x", "idmap", uidMappings=mappings(0, 1000)["uidMappings"])
    with pytest.raises(InvalidSpec, match="go together"):
        bundle.spec("true", {"mounts+": [entry]})


def test_a_file_system_that_cannot_be_idmapped_is_named(bundle: Bundle) -> None:
    """runtime.md#errors: never silently without."""
    with (
        pytest.raises(Unsupported, match="/sys/kernel is on sysfs"),
        bundle.created(changes={"mounts+": [bind("/sys/kernel", "/x", "idmap", **mappings(0, 1000))]}),
    ):
        pass


def test_no_process_is_left_behind(bundle: Bundle, source: Path) -> None:
    """The namespace of the mappings needs one only while it is made."""
    bundle.run("true", {"mounts+": [bind(source, "/x", "idmap", **mappings(0, 1000))]})
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
