"""features: what this runtime can do, whatever the host lacks. runtime-spec features.md"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from aethel_common.linux import seccomp as kernel
from aethel_common.linux.capabilities import Capability
from aethel_run.cli import arguments
from aethel_run.cli.main import Globals
from aethel_run.spec.document import Document
from aethel_run.spec.hooks import Hooks
from aethel_run.spec.linux import MemoryPolicyFlag, MemoryPolicyMode, NamespaceType
from aethel_run.spec.mounts import OPTION_WORDS
from aethel_run.spec.seccomp import Action, Architecture, Flag, Operator

_MINIMUM: Final = "1.0.0"
_MAXIMUM: Final = "1.3.0"


class _Enabled(Document, frozen=True, kw_only=True, omit_defaults=False):
    enabled: bool = True


class _Cgroup(Document, frozen=True, kw_only=True, omit_defaults=False):
    v1: bool = False
    v2: bool = True
    systemd: bool = True
    systemd_user: bool = True
    rdma: bool = True


class _Seccomp(Document, frozen=True, kw_only=True, omit_defaults=False):
    enabled: bool = True
    actions: tuple[str, ...] = tuple(sorted(Action))
    operators: tuple[str, ...] = tuple(sorted(Operator))
    archs: tuple[str, ...] = tuple(sorted(Architecture))
    known_flags: tuple[str, ...] = tuple(sorted(Flag))
    supported_flags: tuple[str, ...]


class _MemoryPolicy(Document, frozen=True, kw_only=True, omit_defaults=False):
    modes: tuple[str, ...] = tuple(sorted(MemoryPolicyMode))
    flags: tuple[str, ...] = tuple(sorted(MemoryPolicyFlag))


class _IntelRdt(Document, frozen=True, kw_only=True, omit_defaults=False):
    enabled: bool = True
    schemata: bool = True
    monitoring: bool = True


class _MountExtensions(Document, frozen=True, kw_only=True, omit_defaults=False):
    idmap: _Enabled = _Enabled()


class _Linux(Document, frozen=True, kw_only=True, omit_defaults=False):
    namespaces: tuple[str, ...] = tuple(sorted(NamespaceType))
    capabilities: tuple[str, ...] = tuple(Capability.__members__)
    cgroup: _Cgroup = _Cgroup()
    seccomp: _Seccomp
    apparmor: _Enabled = _Enabled()
    selinux: _Enabled = _Enabled()
    memory_policy: _MemoryPolicy = _MemoryPolicy()
    intel_rdt: _IntelRdt = _IntelRdt()
    mount_extensions: _MountExtensions = _MountExtensions()
    net_devices: _Enabled = _Enabled()


class Features(Document, frozen=True, kw_only=True, omit_defaults=False):
    """The whole document."""

    oci_version_min: str = _MINIMUM
    oci_version_max: str = _MAXIMUM
    hooks: tuple[str, ...] = Hooks.__struct_encode_fields__
    mount_options: tuple[str, ...] = OPTION_WORDS
    linux: _Linux
    annotations: Mapping[str, str] = {}
    potentially_unsafe_config_annotations: tuple[str, ...] = ()
    """No annotation of a document changes what this runtime does."""


def features(common: Globals, words: Sequence[str]) -> int:
    """features"""
    arguments.parser("features", "Say what this runtime can do, as JSON.", container=False).parse_args(words)
    supported = tuple(sorted(flag for flag in Flag if _kernel_has(flag)))
    document = Features(linux=_Linux(seccomp=_Seccomp(supported_flags=supported)))
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    return 0


def _kernel_has(flag: Flag) -> bool:
    return kernel.has_flag(kernel.FilterFlag[flag.value.removeprefix("SECCOMP_FILTER_FLAG_")])
