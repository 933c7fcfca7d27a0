"""create: record a container and lay out its files. Nothing runs yet."""

from __future__ import annotations

import time

import msgspec

from aethel_common import names
from aethel_common.errors import InvalidArgument
from aethel_common.undo import Undo
from aethel_d.engine import hostnames, look, oci
from aethel_d.engine.context import Engine
from aethel_d.engine.document import document
from aethel_d.engine.model import Container, ContainerConfig, View
from aethel_run.lifecycle.plan import check_without
from aethel_storage import snapshots
from aethel_storage.images import Image


def create(engine: Engine, config: ContainerConfig) -> View:
    """Make a container from an image; all of it or nothing.

    Raises NotFound (no such image), InvalidArgument, AlreadyExists (name), Corrupt (image), Exhausted (disk).
    """
    if config.name:
        names.check(config.name)
    image = engine.images.get(config.image)
    lower = engine.layers.unpack(image)
    relative = tuple(str(path.relative_to(engine.layout.layers)) for path in lower)
    container = _new(engine, config, image, relative)
    layout = engine.layout.container(container.id)
    with Undo() as undo:
        container = engine.containers.add(container, private_users=config.private_users)
        undo.later(lambda: engine.containers.remove(container.id))
        undo.later(lambda: snapshots.remove(layout))
        if config.without:
            check_without(config.without, document(engine, container))
        snapshots.prepare(layout, owner=container.id_base or 0)
        undo.keep()
    return look.view_of(engine, container)


def imagined(engine: Engine, config: ContainerConfig) -> Container:
    """A container that is not made, for its document. Raises NotFound (no such image), InvalidArgument."""
    container = _new(engine, config, engine.images.get(config.image), ())
    base = engine.config.id_range_start if config.private_users else None
    return msgspec.structs.replace(container, id_base=base)


def _new(engine: Engine, config: ContainerConfig, image: Image, lower: tuple[str, ...]) -> Container:
    container_id = names.new_id()
    hostname = hostnames.check(config.hostname) if config.hostname else names.short(container_id)
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


def _argv(config: ContainerConfig, image: Image) -> tuple[str, ...]:
    """Docker's rule: an entrypoint given anew drops the image's command."""
    if config.entrypoint is not None:
        argv = (*config.entrypoint, *config.command)
    else:
        argv = (*(image.config.entrypoint or ()), *(config.command or image.config.cmd or ()))
    if not argv or not argv[0]:
        raise InvalidArgument(f"no command: image {config.image} names none", hint="give one after the image")
    return tuple(argv)
