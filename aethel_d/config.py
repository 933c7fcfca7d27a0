"""How a daemon is set up: defaults, then /etc/aethelred.toml, then the environment, then flags."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aethel_common.address import DEFAULT_SOCKET
from aethel_common.errors import InvalidArgument
from aethel_common.layout import DEFAULT_CACHE, DEFAULT_RUN, DEFAULT_STATE, Layout

DEFAULT_FILE: Final = Path("/etc/aethelred.toml")
ID_RANGE_START: Final = 524288
"""Start of what systemd's UIDS-GIDS document sets aside for containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """Every setting; each can be given in each of the four ways, under this name."""

    state_root: str = str(DEFAULT_STATE)
    run_root: str = str(DEFAULT_RUN)
    cache_root: str = str(DEFAULT_CACHE)
    socket: str = DEFAULT_SOCKET
    socket_group: str = "aethel"
    bridge: str = "aethel0"
    subnet: str = "172.29.0.0/16"
    cgroup_parent: str = "aethelred"
    id_range_start: int = ID_RANGE_START
    no_new_privileges: bool = False
    log_level: str = "info"

    @property
    def layout(self) -> Layout:
        """The paths."""
        return Layout(
            state=Path(self.state_root), run=Path(self.run_root), cache=Path(self.cache_root), socket=Path(self.socket)
        )

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The bridge's subnet."""
        return ipaddress.IPv4Network(self.subnet)


NAMES: Final = tuple(DaemonConfig.__dataclass_fields__)
_LEVELS: Final = ("debug", "info", "warning", "error")


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> DaemonConfig:
    """Merge the four sources. Raises InvalidArgument naming the setting; a file that was asked for must be there."""
    values: dict[str, object] = dict(_from_file(file))
    values |= {name: environment[key] for name in NAMES if (key := f"AETHEL_{name.upper()}") in environment}
    values |= {name: value for name, value in flags.items() if value is not None}
    return _checked(values)


def _from_file(file: Path | None) -> Mapping[str, object]:
    try:
        values = tomllib.loads((file or DEFAULT_FILE).read_text())
    except FileNotFoundError:
        if file is not None:
            raise InvalidArgument(f"no such file: {file}") from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file or DEFAULT_FILE}: {error}") from error
    for name in values:
        if name not in NAMES:
            raise InvalidArgument(
                f"{file or DEFAULT_FILE}: unknown setting {name!r}", hint=f"known: {', '.join(NAMES)}"
            )
    return values


def _checked(values: Mapping[str, object]) -> DaemonConfig:
    values = dict(values)
    try:
        start = int(str(values.pop("id_range_start", ID_RANGE_START)))
    except ValueError:
        raise InvalidArgument("id_range_start: not a number") from None
    config = replace(
        DaemonConfig(),
        id_range_start=start,
        no_new_privileges=_boolean("no_new_privileges", values.pop("no_new_privileges", False)),
        **{name: str(value) for name, value in values.items()},
    )
    for name in ("state_root", "run_root", "cache_root", "socket"):
        if not getattr(config, name).startswith("/"):
            raise InvalidArgument(f"{name}: {getattr(config, name)!r} is not an absolute path")
    if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,15}", config.bridge):
        raise InvalidArgument(f"bridge: {config.bridge!r} is not a link name of at most 15 characters")
    if not re.fullmatch(r"[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)*", config.cgroup_parent) or ".." in config.cgroup_parent:
        raise InvalidArgument(f"cgroup_parent: {config.cgroup_parent!r} is not a relative path of plain names")
    if config.log_level not in _LEVELS:
        raise InvalidArgument(f"log_level: {config.log_level!r} is not one of {', '.join(_LEVELS)}")
    try:
        if config.network.prefixlen > 29:
            raise InvalidArgument(f"subnet: {config.subnet} is too small")
    except ValueError as error:
        raise InvalidArgument(f"subnet: {error}") from error
    return config


def _boolean(name: str, value: object) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise InvalidArgument(f"{name}: {value!r} is neither true nor false")
    return text == "true"
