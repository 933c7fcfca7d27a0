"""Whose namespaces a container is in, settled from what was asked and what the others have."""

from __future__ import annotations

from pathlib import Path

import pytest

from aethel_common.database import Database
from aethel_common.errors import InvalidArgument, NotFound, WrongState
from aethel_d.engine import namespaces
from aethel_d.engine.asked import IdMap, Kernel, Namespaces, Privileges, Share, ShareMode, Users, UsersMode
from aethel_d.engine.containers import ContainerStore
from aethel_d.engine.model import Container, ContainerConfig, NetworkMode

HOST = Share(mode=ShareMode.HOST)


def joining(name: str) -> Share:
    return Share(mode=ShareMode.CONTAINER, container=name)


def container(name: str, *, id_base: int | None = 1000, **config: object) -> Container:
    return Container(
        id=name * 4,
        name=name,
        config=ContainerConfig(image="x", **config),  # type: ignore[arg-type]
        image_digest="",
        lower=(),
        argv=("sh",),
        env=(),
        working_dir="/",
        hostname=name,
        user="",
        stop_signal=15,
        created_ns=0,
        id_base=id_base,
    )


OTHERS = [
    container("plain"),
    container("other", id_base=70000),
    container("open", id_base=None, network=NetworkMode.HOST, namespaces=Namespaces(ipc=HOST)),
    container("behind", network=NetworkMode.CONTAINER, network_container="open" * 4, id_base=None),
]


def find(wanted: str) -> Container:
    for each in OTHERS:
        if wanted in (each.id, each.name):
            return each
    raise NotFound(f"no such container: {wanted}")


def settle(**asked: object) -> ContainerConfig:
    return namespaces.settle(ContainerConfig(image="x", **asked), find)  # type: ignore[arg-type]


def test_by_default_everything_is_private() -> None:
    assert settle() == ContainerConfig(image="x", namespaces=Namespaces(users=Users(mode=UsersMode.PRIVATE)))


def test_names_become_ids_and_the_user_namespace_comes_along() -> None:
    found = settle(namespaces=Namespaces(pid=joining("plain"), ipc=joining("plainplainplainplain")))
    assert found.namespaces.pid == found.namespaces.ipc == joining("plain" * 4)
    assert found.namespaces.users == Users(mode=UsersMode.CONTAINER, container="plain" * 4)
    assert settle(network=NetworkMode.CONTAINER, network_container="plain").network_container == "plain" * 4


def test_who_joins_one_that_has_the_host_s_has_the_host_s() -> None:
    assert settle(namespaces=Namespaces(ipc=joining("open"))).namespaces.ipc == HOST
    found = settle(network=NetworkMode.CONTAINER, network_container="behind")
    assert (found.network, found.network_container) == (NetworkMode.HOST, "")
    assert found.namespaces.users.mode is UsersMode.PRIVATE


def test_without_a_user_namespace_of_the_other_there_is_none() -> None:
    assert settle(namespaces=Namespaces(pid=joining("open"))).namespaces.users.mode is UsersMode.HOST


def test_privileged_means_the_host_s_user_namespace() -> None:
    found = settle(privileges=Privileges(privileged=True), namespaces=Namespaces(pid=joining("plain")))
    assert found.namespaces.users.mode is UsersMode.HOST


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"privileges": Privileges(privileged=True), "namespaces": Namespaces(users=Users(mode=UsersMode.PRIVATE))},
            "privileged",
        ),
        ({"namespaces": Namespaces(pid=joining("plain"), users=Users(mode=UsersMode.PRIVATE))}, "user namespace too"),
        ({"namespaces": Namespaces(pid=joining("plain"), users=Users(mode=UsersMode.AUTO))}, "user namespace too"),
        ({"namespaces": Namespaces(pid=joining("plain"), ipc=joining("other"))}, "different user namespaces"),
        ({"hostname": "x", "namespaces": Namespaces(uts=HOST)}, "hostname"),
        ({"domainname": "x", "namespaces": Namespaces(uts=joining("plain"))}, "domainname"),
        ({"hostname": "x", "network": NetworkMode.CONTAINER, "network_container": "plain"}, "hostname"),
        ({"kernel": Kernel(shm_size=1), "namespaces": Namespaces(ipc=HOST)}, "shm-size"),
    ],
)
def test_what_cannot_go_together_is_refused(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        settle(**asked)


def test_the_other_must_be_there() -> None:
    with pytest.raises(NotFound):
        settle(namespaces=Namespaces(uts=joining("nobody")))


@pytest.fixture
def store(tmp_path: Path) -> ContainerStore:
    return ContainerStore(Database(tmp_path / "db", [ContainerStore.SCHEMA]), id_range_start=524288)


def with_users(name: str, users: Users) -> Container:
    return container(name, id_base=None, namespaces=Namespaces(users=users))


def test_a_range_is_kept_while_anybody_has_files_of_it(store: ContainerStore) -> None:
    first = store.add(with_users("first", Users(mode=UsersMode.AUTO, size=1000)))
    assert (first.id_base, first.id_size) == (524288, 1000)
    second = store.add(with_users("second", Users(mode=UsersMode.CONTAINER, container=first.id)))
    assert (second.id_base, second.id_size, second.uid_map) == (524288, 1000, first.uid_map)
    store.remove(first.id)
    third = store.add(with_users("third", Users(mode=UsersMode.PRIVATE)))
    assert (third.id_base, third.id_size) == (525288, 65536)
    store.remove(second.id)
    store.remove(third.id)
    assert store.add(with_users("fourth", Users(mode=UsersMode.PRIVATE))).id_base == 524288


def test_forced_maps_are_part_of_the_record(store: ContainerStore) -> None:
    forced = (IdMap(inside=0, host=1000, size=1),)
    found = store.add(with_users("x", Users(mode=UsersMode.AUTO, size=10, uid_map=forced)))
    assert [(each.inside, each.host, each.size) for each in found.uid_map] == [(0, 1000, 1), (1, 524289, 9)]
    assert [(each.inside, each.host, each.size) for each in found.gid_map] == [(0, 524288, 10)]
    assert store.get(found.id) == found


def test_a_store_of_before_ranges_had_sizes_gives_none_of_its_ids_away(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", [ContainerStore.SCHEMA])
    with database.transaction() as sql:
        sql.execute("INSERT INTO containers VALUES ('old', 'old', 524288, 0, x'7b7d')")
    store = ContainerStore(Database(tmp_path / "db", [ContainerStore.SCHEMA]), id_range_start=524288)
    assert store.add(with_users("new", Users(mode=UsersMode.PRIVATE))).id_base == 524288 + 65536


def test_who_is_joined_must_run(store: ContainerStore) -> None:
    donor = store.add(with_users("donor", Users(mode=UsersMode.PRIVATE)))
    config = ContainerConfig(image="x", namespaces=Namespaces(pid=joining(donor.id)))
    with pytest.raises(WrongState, match="pid namespace of container donordonordo cannot be joined: it is not running"):
        namespaces.donors(config, store)
    store.remove(donor.id)
    with pytest.raises(NotFound, match="no such container any more"):
        namespaces.donors(config, store)
