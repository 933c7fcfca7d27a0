"""`mounts` of config.json: each test is a promise of config.md#mounts or of config.md#linux-mount-options."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from aethel_common.errors import AethelError, InvalidSpec, NotFound, StepFailed
from aethel_common.linux import capabilities, mounts
from aethel_common.linux.capabilities import Capability
from aethel_common.linux.mounts import MountFlags
from aethel_run.lifecycle.create import CreateOptions, create
from aethel_run.lifecycle.rootfs import open_directory
from tests.harness.bundle import ID_BASE, Bundle, MountLine, bind, in_shared_mounts, mount


def test_they_are_mounted_in_the_listed_order(bundle: Bundle, tmp_path: Path) -> None:
    """config.md#mounts: the runtime MUST mount entries in the listed order."""
    (tmp_path / "file").write_text("inside")
    entries = [mount("/a"), bind(tmp_path / "file", "/a/file")]
    assert bundle.run("cat /a/file", {"mounts+": entries}).out == "inside"
    assert bundle.run("ls /a", {"mounts+": entries[::-1]}).out == ""


def test_a_relative_destination_is_taken_from_the_root(bundle: Bundle) -> None:
    """config.md#mounts: destination MUST be interpreted as relative to "/"."""
    assert "/some/where" in bundle.mounts({"mounts+": [mount("some/where")]})


def test_a_relative_source_of_a_bind_is_taken_from_the_bundle(bundle: Bundle) -> None:
    """config.md#mounts: path values for bind mounts are either absolute or relative to the bundle."""
    (bundle.path / "data").mkdir()
    (bundle.path / "data/file").write_text("from the bundle")
    assert bundle.run("cat /data/file", {"mounts+": [bind("data", "/data")]}).out == "from the bundle"


@pytest.mark.parametrize("options", [["bind"], ["rbind"]])
def test_its_options_make_a_bind_whatever_its_type(bundle: Bundle, tmp_path: Path, options: list[str]) -> None:
    """config.md#posix-platform-mounts: the type is then a dummy, often "none"."""
    (tmp_path / "file").write_text("bound")
    for kind in ("none", "", "ext4"):
        entry = {"destination": "/x", "type": kind, "source": str(tmp_path), "options": options}
        assert bundle.run("cat /x/file", {"mounts+": [entry]}).out == "bound"


@pytest.mark.parametrize("users", [False, True])
def test_a_target_that_is_missing_is_made_like_the_source(bundle: Bundle, tmp_path: Path, users: bool) -> None:
    """config.md#mounts: files and directories can both be bound."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "file").chmod(0o644)
    tmp_path.chmod(0o755)
    entries = [bind(tmp_path / "file", "/new/of/file"), bind(tmp_path, "/new/of/directory")]
    done = bundle.run("cat /new/of/file /new/of/directory/file", {"mounts+": entries}, users=users)
    assert (done.out, done.status) == ("texttext", 0)


def test_a_directory_is_not_bound_to_a_file(bundle: Bundle, tmp_path: Path) -> None:
    """The error names both."""
    (bundle.rootfs / "etc/file").write_text("")
    with (
        pytest.raises(StepFailed, match=rf"mounts\[7\].*/etc/file.*{tmp_path}"),
        bundle.created(changes={"mounts+": [bind(tmp_path, "/etc/file")]}),
    ):
        pass


def test_a_file_is_not_bound_to_a_directory(bundle: Bundle, tmp_path: Path) -> None:
    """The error names both."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StepFailed, match=rf"/etc in the container is a directory.*{tmp_path}/file"),
        bundle.created(changes={"mounts+": [bind(tmp_path / "file", "/etc")]}),
    ):
        pass


def test_a_source_that_is_missing_is_named(bundle: Bundle) -> None:
    """runtime.md#errors"""
    with pytest.raises(NotFound, match="/not/there"), bundle.created(changes={"mounts+": [bind("/not/there", "/x")]}):
        pass


def test_a_link_in_the_image_to_nowhere_has_its_target_made_inside(bundle: Bundle, tmp_path: Path) -> None:
    """As distributions have /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf."""
    (tmp_path / "file").write_text("nameserver")
    (bundle.rootfs / "etc/resolv.conf").symlink_to("../run/resolve/stub.conf")
    (bundle.rootfs / "var/log").symlink_to("/deep/log")
    entries = [bind(tmp_path / "file", "/etc/resolv.conf"), mount("/var/log/app")]
    done = bundle.run("cat /run/resolve/stub.conf; test -d /deep/log/app && echo yes", {"mounts+": entries})
    assert done.out == "nameserveryes\n"


ATTRIBUTES = [
    (["ro"], {"ro"}, set()),
    (["rw"], {"rw"}, {"ro"}),
    (["ro", "rw"], {"rw"}, {"ro"}),
    (["nosuid", "nodev", "noexec"], {"nosuid", "nodev", "noexec"}, set()),
    (["nosuid", "suid", "nodev", "dev", "noexec", "exec"], set(), {"nosuid", "nodev", "noexec"}),
    (["defaults"], {"rw", "relatime"}, {"nosuid", "nodev", "noexec"}),
    (["noatime"], {"noatime"}, {"relatime"}),
    (["noatime", "atime"], {"relatime"}, {"noatime"}),
    (["strictatime"], set(), {"relatime", "noatime"}),
    (["strictatime", "nostrictatime"], {"relatime"}, set()),
    (["strictatime", "norelatime", "atime"], set(), {"relatime", "noatime"}),
    (["relatime"], {"relatime"}, set()),
    (["nodiratime"], {"nodiratime"}, set()),
    (["nodiratime", "diratime"], set(), {"nodiratime"}),
    (["nosymfollow"], {"nosymfollow"}, set()),
    (["nosymfollow", "symfollow"], set(), {"nosymfollow"}),
    (["rro", "rnosuid", "rnodev", "rnoexec"], {"ro", "nosuid", "nodev", "noexec"}, set()),
    (["rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec"], {"rw"}, {"nosuid", "nodev", "noexec"}),
    (["rnoatime", "rnodiratime"], {"noatime", "nodiratime"}, set()),
    (["rnoatime", "ratime", "rnodiratime", "rdiratime"], {"relatime"}, {"noatime", "nodiratime"}),
    (["rstrictatime"], set(), {"relatime"}),
    (["rstrictatime", "rnostrictatime", "rrelatime", "rnorelatime"], {"relatime"}, set()),
    (["rnosymfollow"], {"nosymfollow"}, set()),
    (["rnosymfollow", "rsymfollow"], set(), {"nosymfollow"}),
    (["loud", "noiversion", "async", "nolazytime", "nomand"], {"rw"}, set()),
]


@pytest.mark.parametrize(("options", "there", "not_there"), ATTRIBUTES)
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_attributes_of_the_mount(
    bundle: Bundle, tmp_path: Path, kind: str, options: list[str], there: set[str], not_there: set[str]
) -> None:
    """config.md#linux-mount-options: the table, for new file systems and for binds."""
    entry = bind(tmp_path, "/x", *options) if kind == "bind" else mount("/x", "tmpfs", "tmpfs", *options)
    options_there = bundle.mounts({"mounts+": [entry]})["/x"].options
    assert there <= options_there
    assert not not_there & options_there


def test_what_the_source_of_a_bind_has_is_cleared_by_the_opposite_words(bundle: Bundle, tmp_path: Path) -> None:
    """config.md#linux-mount-options: suid, dev, exec, rw."""
    (tmp_path / "source").mkdir()

    def check() -> None:
        flags = MountFlags.NOSUID | MountFlags.NODEV | MountFlags.NOEXEC | MountFlags.RDONLY
        mounts.mount("tmpfs", str(tmp_path / "source"), "tmpfs", flags, None)
        kept = bundle.mounts({"mounts+": [bind(tmp_path / "source", "/x")]})["/x"].options
        assert {"nosuid", "nodev", "noexec", "ro"} <= kept
        cleared = bundle.mounts({"mounts+": [bind(tmp_path / "source", "/x", "suid", "dev", "exec")]})["/x"].options
        assert not {"nosuid", "nodev", "noexec"} & cleared

    in_shared_mounts(check)


def test_recursive_words_reach_what_is_mounted_below_and_plain_ones_do_not(bundle: Bundle, tmp_path: Path) -> None:
    """config.md#linux-mount-options: rro and its like, by mount_setattr with AT_RECURSIVE."""
    (tmp_path / "source/below").mkdir(parents=True)

    def check() -> None:
        mounts.mount("tmpfs", str(tmp_path / "source/below"), "tmpfs", MountFlags(0), None)
        options = {
            words: bundle.mounts({"mounts+": [bind(tmp_path / "source", "/x", *words)]})
            for words in (("ro", "nosuid"), ("rro", "rnosuid"), ("rro", "rw"))
        }
        plain, recursive, mixed = options.values()
        assert {"ro", "nosuid"} <= plain["/x"].options
        assert not {"ro", "nosuid"} & plain["/x/below"].options
        assert {"ro", "nosuid"} <= recursive["/x/below"].options
        assert "rw" in mixed["/x"].options
        assert "ro" in mixed["/x/below"].options

    in_shared_mounts(check)


def test_bind_without_r_leaves_what_is_mounted_below_behind(bundle: Bundle, tmp_path: Path) -> None:
    """config.md#linux-mount-options: bind, rbind."""
    (tmp_path / "source/below").mkdir(parents=True)

    def check() -> None:
        mounts.mount("tmpfs", str(tmp_path / "source/below"), "tmpfs", MountFlags(0), None)
        entries = [bind(tmp_path / "source", "/r"), mount("/plain", "bind", str(tmp_path / "source"), "bind")]
        table = bundle.mounts({"mounts+": entries})
        assert "/r/below" in table
        assert "/plain/below" not in table

    in_shared_mounts(check)


@pytest.mark.parametrize("word", ["sync", "dirsync", "lazytime", "mand"])
def test_flags_of_the_file_system(bundle: Bundle, word: str) -> None:
    """config.md#linux-mount-options: sync, dirsync, lazytime, mand; and their opposites."""
    opposite = {"sync": "async", "dirsync": "", "lazytime": "nolazytime", "mand": "nomand"}[word]
    table = bundle.mounts({"mounts+": [mount("/x", "tmpfs", "tmpfs", word)]})
    assert word in table["/x"].super_options
    if opposite:
        table = bundle.mounts({"mounts+": [mount("/x", "tmpfs", "tmpfs", word, opposite)]})
        assert word not in table["/x"].super_options


@pytest.mark.parametrize("word", ["silent", "iversion"])
@pytest.mark.parametrize("users", [False, True])
def test_words_that_only_mount_2_knows(bundle: Bundle, word: str, users: bool) -> None:
    """config.md#linux-mount-options: silent, iversion; with all that stands beside them."""
    entry = mount("/x", "tmpfs", "here", word, "nosuid", "noexec", "noatime", "sync", "size=64k", "mode=0711", "shared")
    line = bundle.mounts({"mounts+": [entry]}, users=users, script="test $(stat -c %a /x) = 711")["/x"]
    assert {"nosuid", "noexec", "noatime"} <= line.options
    assert {"sync", "size=64k"} <= line.super_options
    assert line.tags == {"shared"}


@pytest.mark.parametrize("users", [False, True])
def test_remount_changes_what_it_names_and_nothing_else(bundle: Bundle, users: bool) -> None:
    """config.md#linux-mount-options: remount."""
    entries = [
        mount("/x", "tmpfs", "tmpfs", "nosuid", "noexec", "noatime", "size=64k"),
        mount("/x", "tmpfs", "tmpfs", "remount", "exec", "size=128k", "sync"),
    ]
    line = bundle.mounts({"mounts+": entries}, users=users)["/x"]
    assert {"nosuid", "noatime", "rw"} <= line.options
    assert "noexec" not in line.options
    assert {"size=128k", "sync"} <= line.super_options
    entries.append(mount("/x", "", "", "remount", "ro"))
    line = bundle.mounts({"mounts+": entries}, users=users)["/x"]
    assert {"ro", "nosuid"} <= line.options
    assert {"ro", "size=128k"} <= line.super_options


@pytest.mark.parametrize("users", [False, True])
def test_remount_with_bind_changes_the_mount_alone(bundle: Bundle, tmp_path: Path, users: bool) -> None:
    """config.md#linux-mount-options: remount, bind; as mount(8) has them together."""
    entries = [bind(tmp_path, "/x", "nosuid"), mount("/x", "", "", "bind", "remount", "ro", "rslave")]
    line = bundle.mounts({"mounts+": entries}, users=users)["/x"]
    assert {"ro", "nosuid"} <= line.options
    assert "rw" in line.super_options


def test_remount_of_what_is_not_mounted_is_refused(bundle: Bundle) -> None:
    """runtime.md#errors"""
    with (
        pytest.raises(StepFailed, match=r"mounts\[7\].*/etc"),
        bundle.created(changes={"mounts+": [mount("/etc", "", "", "remount", "ro")]}),
    ):
        pass


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        ([], set()),
        (["shared"], {"shared"}),
        (["rshared"], {"shared"}),
        (["private"], set()),
        (["unbindable"], {"unbindable"}),
        (["runbindable"], {"unbindable"}),
        (["shared", "private"], set()),
        (["rprivate", "rshared"], {"shared"}),
    ],
)
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_propagation(bundle: Bundle, tmp_path: Path, kind: str, words: list[str], tags: set[str]) -> None:
    """config.md#linux-mount-options: private, shared, slave, unbindable and their recursive forms, in order."""
    entry = bind(tmp_path, "/x", *words) if kind == "bind" else mount("/x", "tmpfs", "tmpfs", *words)
    assert bundle.mounts({"mounts+": [entry]})["/x"].tags == tags


@pytest.mark.parametrize(
    ("words", "hears"), [([], True), (["slave"], True), (["rslave"], True), (["rprivate"], False), (["private"], False)]
)
def test_a_slave_hears_of_the_hosts_mounts_and_tells_nothing(
    bundle: Bundle, tmp_path: Path, words: list[str], hears: bool
) -> None:
    """config.md#linux-mount-options: slave, private; on a host whose mounts are shared."""
    (tmp_path / "source/later").mkdir(parents=True)
    (tmp_path / "source/inside").mkdir()

    def check() -> None:
        entry = bind(tmp_path / "source", "/x", *words)
        script = "mount -t tmpfs none /x/inside; echo; sleep 60"
        caps = {f"process.capabilities.{kind}": ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}
        reader, writer = os.pipe()
        with bundle.created(script, {"mounts+": [entry], **caps}, stdout=writer) as container:
            container.start()
            assert os.read(reader, 1) == b"\n"
            mounts.mount("tmpfs", str(tmp_path / "source/later"), "tmpfs", MountFlags(0), None)
            inside = Path(f"/proc/{container.pid}/mountinfo").read_text()
            assert ("/x/later" in inside) is hears
            assert "/x/inside" in inside
            assert "source/inside" not in Path("/proc/self/mountinfo").read_text()

    in_shared_mounts(check)


def test_tmpcopyup_begins_with_what_the_image_has(bundle: Bundle) -> None:
    """config.md#linux-mount-options: tmpcopyup; owners, modes, times, links and attributes come along."""
    source = bundle.rootfs / "var/data"
    (source / "sub/deeper").mkdir(parents=True)
    (source / "file").write_text("content")
    (source / "file").chmod(0o4711)
    os.chown(source / "file", 7, 8)
    (source / "file").chmod(0o4711)
    os.utime(source / "file", ns=(1_000_000_001, 2_000_000_002))
    os.link(source / "file", source / "sub/hard")
    (source / "sub/soft").symlink_to("/etc/passwd")
    os.mkfifo(source / "sub/fifo")
    os.mknod(source / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (source / "sub").chmod(0o1777)
    os.utime(source / "sub", ns=(3_000_000_003, 4_000_000_004))
    os.chown(source, 5, 6)
    source.chmod(0o750)
    with bundle.created(changes={"mounts+": [mount("/var/data", "tmpfs", "tmpfs", "tmpcopyup", "ro")]}) as container:
        copy = Path(f"/proc/{container.pid}/root/var/data")
        assert (copy / "file").read_text() == "content"
        assert os.statvfs(copy).f_flag & os.ST_RDONLY
        for name in (".", "file", "sub", "sub/soft", "sub/fifo", "null", "sub/deeper"):
            was, now = (source / name).lstat(), (copy / name).lstat()
            assert (
                now.st_mode,
                now.st_uid,
                now.st_gid,
                now.st_rdev,
                now.st_mtime_ns,
                now.st_size if name == "file" else 0,
            ) == (
                was.st_mode,
                was.st_uid,
                was.st_gid,
                was.st_rdev,
                was.st_mtime_ns,
                was.st_size if name == "file" else 0,
            ), name
        assert (copy / "sub/hard").stat().st_ino == (copy / "file").stat().st_ino
        assert os.readlink(copy / "sub/soft") == "/etc/passwd"
        assert copy.stat().st_dev != source.stat().st_dev


def test_tmpcopyup_keeps_extended_attributes(bundle: Bundle) -> None:
    """config.md#linux-mount-options: tmpcopyup."""
    source = bundle.rootfs / "var/data"
    source.mkdir()
    (source / "file").write_text("")
    os.setxattr(source / "file", "trusted.test", b"value")
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    os.setxattr(source / "file", "security.capability", capability)
    with bundle.created(changes={"mounts+": [mount("/var/data", "tmpfs", "tmpfs", "tmpcopyup")]}) as container:
        copy = f"/proc/{container.pid}/root/var/data/file"
        assert os.getxattr(copy, "trusted.test") == b"value"
        assert os.getxattr(copy, "security.capability") == capability


def test_tmpcopyup_works_in_a_user_namespace(bundle: Bundle) -> None:
    """config.md#linux-mount-options: tmpcopyup."""
    (bundle.rootfs / "var/file").write_text("content")
    done = bundle.run(
        "cat /var/file; stat -c %u:%g /var /var/file; echo more > /var/new",
        {"mounts+": [mount("/var", "tmpfs", "tmpfs", "tmpcopyup")]},
        users=True,
    )
    assert (done.out, done.status) == ("content0:0\n0:0\n", 0)
    assert not (bundle.rootfs / "var/new").exists()


def test_tmpcopyup_of_more_than_fits_is_an_error_that_says_so(bundle: Bundle) -> None:
    """runtime.md#errors"""
    (bundle.rootfs / "var/file").write_bytes(bytes(1 << 20))
    with (
        pytest.raises(StepFailed, match="No space left"),
        bundle.created(changes={"mounts+": [mount("/var", "tmpfs", "tmpfs", "tmpcopyup", "size=64k")]}),
    ):
        pass


def test_unknown_words_are_the_file_systems_own(bundle: Bundle) -> None:
    """config.md#linux-mount-options: unknown options are passed on as data, comma-separated."""
    entry = mount("/x", "tmpfs", "tmpfs", "size=64k,nr_inodes=20", "uid=5", "")
    assert {"size=64k", "nr_inodes=20", "uid=5"} <= bundle.mounts({"mounts+": [entry]})["/x"].super_options


def test_what_the_file_system_does_not_know_either_is_named(bundle: Bundle) -> None:
    """runtime.md#errors"""
    with (
        pytest.raises(StepFailed, match=r"mounts\[7\].*tmpfs.*nonsense.*/x"),
        bundle.created(changes={"mounts+": [mount("/x", "tmpfs", "tmpfs", "nonsense=1")]}),
    ):
        pass


def test_for_a_bind_data_means_nothing(bundle: Bundle, tmp_path: Path) -> None:
    """mount(2): with MS_BIND data is ignored."""
    assert "/x" in bundle.mounts({"mounts+": [bind(tmp_path, "/x", "size=64k", "nonsense", "sync", "silent")]})


def test_a_file_system_that_the_kernel_lacks_is_named(bundle: Bundle) -> None:
    """runtime.md#errors"""
    with pytest.raises(AethelError, match="nosuchfs"), bundle.created(changes={"mounts+": [mount("/x", "nosuchfs")]}):
        pass


def test_the_root_itself_is_no_destination(bundle: Bundle) -> None:
    """config.md#mounts: additional mounts beyond root."""
    for destination in ("/", "//", "/x/..", "."):
        with pytest.raises(InvalidSpec, match="the root itself"):
            bundle.spec("true", {"mounts+": [mount(destination)]})


def test_a_tmpfs_has_the_mode_of_what_it_covers(bundle: Bundle) -> None:
    """As tmpfs mounts of other runtimes have it: /tmp stays everybody's, and so is what covers nothing."""
    (bundle.rootfs / "var").chmod(0o710)
    entries = [mount("/tmp"), mount("/var"), mount("/x", "tmpfs", "tmpfs", "mode=0700"), mount("/y")]
    assert bundle.run("stat -c %a /tmp /var /x /y", {"mounts+": entries}).lines == ["1777", "710", "700", "1777"]


def test_a_read_only_tmpfs_takes_other_mounts_all_the_same(bundle: Bundle, tmp_path: Path) -> None:
    """config.md#linux-mount-options: ro; on /dev too."""
    document = bundle.spec("true")
    entries = [
        {
            "destination": each.destination,
            "type": each.type,
            "source": each.source,
            "options": [*each.options, *(["ro"] if each.destination == "/dev" else [])],
        }
        for each in document.mounts
    ]
    changes = {"mounts": [*entries, mount("/run", "tmpfs", "tmpfs", "ro"), bind(tmp_path, "/run/secrets/x")]}
    table = bundle.mounts(changes, script="test -c /dev/null && test -L /dev/fd")
    assert "ro" in table["/run"].options
    assert "ro" in table["/dev"].options
    assert "rw" in table["/run/secrets/x"].options
    assert "rw" in table["/dev/shm"].options


def test_selinux_labels_need_selinux(bundle: Bundle) -> None:
    """config-linux.md#mount-label: what the host lacks is an error."""
    if "selinuxfs" in Path("/proc/filesystems").read_text():
        pytest.skip("this host has SELinux")
    with (
        pytest.raises(StepFailed, match="SELinux"),
        bundle.created(changes={"linux.mountLabel": "system_u:object_r:container_file_t:s0:c1,c2"}),
    ):
        pass


@pytest.mark.parametrize("users", [False, True])
def test_selinux_labels_are_those_of_the_document(bundle: Bundle, users: bool) -> None:
    """config-linux.md#mount-label: the context for the mounts in the container; proc and sysfs keep their own."""
    if not Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("SELinux is not in force here")
    own = os.getxattr(bundle.rootfs, "security.selinux").rstrip(b"\0")
    label = own + b":c0,c1"
    entries = [mount("/x"), mount("/y", "tmpfs", "tmpfs", "silent"), mount("/z", "tmpfs", "tmpfs", "tmpcopyup")]
    with bundle.created(changes={"linux.mountLabel": label.decode(), "mounts+": entries}, users=users) as container:
        root = f"/proc/{container.pid}/root"
        for name in ("x", "y", "z", "dev", "dev/shm", "dev/pts", *([] if users else ["dev/mqueue"])):
            assert os.getxattr(f"{root}/{name}", "security.selinux").rstrip(b"\0") == label, name
        for name in ("proc", "sys", "."):
            assert os.getxattr(f"{root}/{name}", "security.selinux").rstrip(b"\0") != label, name


def test_more_binds_than_sixty(bundle: Bundle, tmp_path: Path) -> None:
    """Descriptors travel with one message."""
    entries = [bind(tmp_path, f"/many/{number}") for number in range(120)]
    assert len(bundle.run("ls /many", {"mounts+": entries}).lines) == 120


def test_without_idmap_owners_are_the_hosts(bundle: Bundle, tmp_path: Path) -> None:
    """config-linux.md#user-namespace-mappings: a mount is mapped only when the document says so."""
    (tmp_path / "file").write_text("")
    os.chown(tmp_path / "file", ID_BASE + 5, 5)
    done = bundle.run("stat -c %u:%g /x", {"mounts+": [bind(tmp_path / "file", "/x")]}, users=True)
    assert done.out == "5:65534\n"


def test_what_the_parent_may_not_copy_init_copies_itself(bundle: Bundle) -> None:
    """Rootless: only in its own namespaces has it the privilege; on a host with shared mounts, with all attributes."""
    source = Path(tempfile.mkdtemp(prefix="aethel-source-"))
    try:
        source.chmod(0o755)
        (source / "file").write_text("text")
        spec = bundle.spec("cat /x/file; cat /proc/self/mountinfo", {"mounts+": [bind(source, "/x", "ro")]}, users=True)

        def check() -> None:
            root_fd = open_directory(str(bundle.rootfs))(None)
            kept = _permitted() & ~capabilities.mask([Capability.CAP_SYS_ADMIN])
            capabilities.capset(effective=kept, permitted=kept, inheritable=0)
            reader, writer = os.pipe()
            container = create(spec, CreateOptions(open_rootfs=lambda _: root_fd, stdio=(0, writer, writer)))
            container.start()
            os.close(writer)
            with open(reader, encoding="utf-8") as file:
                output = file.read()
            container.abandon()
            assert output.startswith("text")
            line = next(MountLine.parse(line) for line in output[4:].splitlines() if line.split()[4] == "/x")
            assert "ro" in line.options
            assert "shared" not in line.tags

        in_shared_mounts(check)
    finally:
        shutil.rmtree(source)


def _permitted() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapPrm"))
    return int(line.split()[1], 16)
