"""The one link that every network namespace has."""

from __future__ import annotations

from aethel_common.linux.netlink import Rtnetlink
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec.linux import NamespaceType


@step(
    man="rtnetlink(7) network_namespaces(7)",
    when=lambda init: init.spec.linux.makes(NamespaceType.NETWORK),
    only="with a network namespace of its own",
)
def bring_up_loopback(init: Init) -> None:
    """Set lo up, which is down in a new network namespace: programs expect 127.0.0.1 to work."""
    with Rtnetlink() as rtnetlink:
        rtnetlink.set_up("lo")
