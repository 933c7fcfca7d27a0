"""What a start leaves on the disk for its monitor: the document, the files for /etc, device nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aethel_d.engine import devices, oci
from aethel_d.engine.context import Engine
from aethel_d.engine.document import document, host_devices, owner_of_network
from aethel_d.engine.model import Container, NetworkMode
from aethel_net import files
from aethel_net.model import Endpoint
from aethel_run.spec.load import encode
from aethel_run.story import act


@act(man="hosts(5) resolv.conf(5)")
def write_bundle(
    engine: Engine, container: Container, endpoint: Endpoint | None, donors: Mapping[str, Container]
) -> None:
    """Write the document that the container is made from, and its own /etc/hosts, hostname and resolv.conf.

    Raises NotFound or InvalidArgument for a device that is no longer there, OSError.
    """
    layout = engine.layout.container(container.id)
    layout.bundle.mkdir(mode=0o700, parents=True)
    if owner_of_network(engine, container) is container:
        _write_etc(layout.etc, container, endpoint)
    found = host_devices(engine, container)
    if container.id_base is not None and found:
        layout.devices.mkdir(mode=0o700)
        devices.make_nodes(found, *oci.id_maps(container))
    layout.config.write_bytes(encode(document(engine, container, found, donors)))


def _write_etc(etc: Path, container: Container, endpoint: Endpoint | None) -> None:
    etc.mkdir(mode=0o755, exist_ok=True)
    address = endpoint.ip_address if endpoint is not None else None
    is_host = container.config.network is NetworkMode.HOST
    texts = {
        "hosts": files.hosts(container.hostname, address, domain=container.config.domainname),
        "hostname": container.hostname + "\n",
        "resolv.conf": files.resolv_conf(_host_resolv_conf(), shares_host_network=is_host),
    }
    for name, text in texts.items():
        path = etc / name
        path.write_text(text)
        path.chmod(0o644)  # the daemon's umask is not the container's


def _host_resolv_conf() -> str:
    try:
        return Path("/etc/resolv.conf").read_text()
    except FileNotFoundError:
        return ""
