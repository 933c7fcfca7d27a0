"""The OCI document of a container, with the places that this daemon gives it."""

from __future__ import annotations

from aethel_d.engine import oci
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Container
from aethel_run.spec.config import Spec
from aethel_run.state import marked


def document(engine: Engine, container: Container) -> Spec:
    """What a start would write to config.json. Nothing is made."""
    return oci.spec(
        container,
        etc=engine.layout.container(container.id).etc,
        cgroup=str(engine.cgroup_path(container.id)),
        annotations=marked(container.config.labels, container.config.without),
    )
