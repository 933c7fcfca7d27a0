"""How the kernel treats the program, as far as anybody may say it of himself."""

from __future__ import annotations

from functools import reduce
from operator import or_

from aethel_common.linux import scheduling
from aethel_common.linux.scheduling import MemoryPolicyFlags, MemoryPolicyMode, PersonalityDomain
from aethel_run.init.context import Init
from aethel_run.init.step import step
from aethel_run.spec import lists


@step(
    man="set_mempolicy(2) numa(7)",
    when=lambda init: init.spec.linux.memory_policy is not None,
    only="with linux.memoryPolicy",
)
def set_memory_policy(init: Init) -> None:
    """Say from which NUMA nodes its memory comes."""
    policy = init.spec.linux.memory_policy
    assert policy is not None
    flags = reduce(or_, (MemoryPolicyFlags[flag] for flag in policy.flags), MemoryPolicyFlags(0))
    nodes = lists.numbers(policy.nodes, "linux.memoryPolicy.nodes", lists.MAX_NODES)
    scheduling.set_mempolicy(MemoryPolicyMode[policy.mode], flags, nodes)


@step(man="personality(2)", when=lambda init: init.spec.linux.personality is not None, only="with linux.personality")
def set_personality(init: Init) -> None:
    """Let uname tell of a 32-bit machine, or of the one that it is."""
    assert init.spec.linux.personality is not None
    scheduling.personality(PersonalityDomain[init.spec.linux.personality.domain])
