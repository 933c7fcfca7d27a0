"""create: record a container and lay out its files. Nothing runs yet."""

from __future__ import annotations

import os
import time

from aethel_common import names
from aethel_common.errors import InvalidArgument
from aethel_common.undo import Undo
from aethel_d.engine import checks, hostnames, idmap, look, oci
from aethel_d.engine.asked import ShareMode
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Container, ContainerConfig, View
from aethel_storage import snapshots
from aethel_storage.images import Image


def create(engine: Engine, config: ContainerConfig) -> View:
    """Make a container from an image; all of it or nothing.

    Raises NotFound (no such image), InvalidArgument, AlreadyExists (name), Corrupt (image), Exhausted (disk).
    """
    config = checks.settled(engine, config)
    image = engine.images.get(config.image)
    lower = engine.layers.unpack(image)
    relative = tuple(str(path.relative_to(engine.layout.layers)) for path in lower)
    container = _new(engine, config, image, relative)
    layout = engine.layout.container(container.id)
    with Undo() as undo:
        container = engine.containers.add(container)
        undo.later(lambda: engine.containers.remove(container.id))
        undo.later(lambda: snapshots.remove(layout))
        checks.checked_document(engine, container)
        snapshots.prepare(layout, owner=_root_of(container))
        undo.keep()
    return look.view_of(engine, container)


def imagined(engine: Engine, config: ContainerConfig) -> Container:
    """A container that is not made, for its document, with the ids that it would have. Raises as `create` does."""
    config = checks.settled(engine, config)
    return engine.containers.with_ids(_new(engine, config, engine.images.get(config.image), ()))


def _new(engine: Engine, config: ContainerConfig, image: Image, lower: tuple[str, ...]) -> Container:
    container_id = names.new_id()
    hostname = _hostname(engine, config, container_id)
    return Container(
        id=container_id,
        name=config.name or names.made_up(c.name for c in engine.containers.all()),
        config=config,
        image_digest=image.digest,
        lower=lower,
        argv=_argv(config, image),
        env=oci.environment(config, image.config, hostname),
        working_dir=config.working_dir or image.config.working_dir or "/",
        hostname=hostname,
        user=config.user or image.config.user,
        stop_signal=names.signal_number(config.stop_signal or image.config.stop_signal or "TERM"),
        created_ns=time.time_ns(),
    )


def _hostname(engine: Engine, config: ContainerConfig, container_id: str) -> str:
    """Its own, or that of whoever it shares the name with; with the network go its files that tell the name."""
    uts = config.namespaces.uts
    if uts.mode is ShareMode.HOST:
        return os.uname().nodename
    donor = uts.container or config.network_container
    if donor:
        return engine.containers.get(donor).hostname
    return hostnames.check(config.hostname) if config.hostname else names.short(container_id)


def _root_of(container: Container) -> tuple[int, int]:
    """User and group of the host who are root inside."""
    if container.id_base is None:
        return 0, 0
    uid, gid = idmap.on_host(0, container.uid_map), idmap.on_host(0, container.gid_map)
    assert uid is not None
    assert gid is not None
    return uid, gid


def _argv(config: ContainerConfig, image: Image) -> tuple[str, ...]:
    """Docker's rule: an entrypoint given anew drops the image's command."""
    if config.entrypoint is not None:
        argv = (*config.entrypoint, *config.command)
    else:
        argv = (*(image.config.entrypoint or ()), *(config.command or image.config.cmd or ()))
    if not argv or not argv[0]:
        raise InvalidArgument(f"no command: image {config.image} names none", hint="give one after the image")
    return tuple(argv)
