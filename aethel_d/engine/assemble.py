"""Make an Engine, and take it apart."""

from __future__ import annotations

from aethel_common.database import Database
from aethel_d.config import DaemonConfig
from aethel_d.engine import settle
from aethel_d.engine.containers import ContainerStore
from aethel_d.engine.context import Ends, Engine, Locks
from aethel_d.engine.watcher import Watcher
from aethel_d.launcher.client import Launcher
from aethel_net.leases import LeaseStore
from aethel_net.model import Bridge
from aethel_net.network import Network
from aethel_run.cgroup.tree import Cgroup, mount_point
from aethel_storage.content import ContentStore
from aethel_storage.images import ImageStore
from aethel_storage.layers import LayerStore


def assemble(config: DaemonConfig) -> tuple[Engine, Watcher]:
    """Open the stores, make the bridge and the cgroup, start to watch. Raises AethelError, OSError."""
    layout = config.layout
    database = Database(layout.database, [ImageStore.SCHEMA, ContainerStore.SCHEMA, LeaseStore.SCHEMA])
    content = ContentStore(layout.content)
    watcher = Watcher(layout)
    network = Network(Bridge(config.bridge, config.network))
    cgroup_root = mount_point() / config.cgroup_parent
    engine = Engine(
        config=config,
        layout=layout,
        database=database,
        containers=ContainerStore(database, id_range_start=config.id_range_start),
        content=content,
        images=ImageStore(database, content),
        layers=LayerStore(layout.layers, content),
        leases=LeaseStore(database),
        network=network,
        launcher=Launcher(),
        cgroup_root=cgroup_root,
        locks=Locks(),
        ends=Ends(),
        watch=watcher.watch,
    )
    cgroup = Cgroup(cgroup_root)
    cgroup.make()
    cgroup.delegate()
    network.up()
    watcher.start(lambda container_id: settle.settle(engine, container_id))
    return engine, watcher


def take_apart(engine: Engine, watcher: Watcher) -> None:
    """Let go of everything that belongs to this process. Containers, their bridge and their files stay."""
    watcher.close()
    engine.launcher.close()
    engine.network.close()
