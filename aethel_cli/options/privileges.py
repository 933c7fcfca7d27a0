"""What its programs may do: capabilities, --security-opt, groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import click

from aethel_cli.client import pb
from aethel_common.errors import InvalidArgument

_MOST: Final = 1 << 20
"""Bytes of a seccomp profile; Docker's own has some twenty thousand."""
_KNOWN: Final = "no-new-privileges seccomp= apparmor= label= systempaths=unconfined mask= unmask="
_LABEL: Final = {"user": "system_u", "role": "system_r", "type": "container_t", "level": "s0"}
"""Parts of an SELinux label, and what is taken for those that are not given."""

OPTIONS: Final = (
    click.option(
        "--privileged",
        is_flag=True,
        help="All capabilities and devices, nothing hidden, no seccomp; with --userns host, the only one where that counts.",
    ),
    click.option("--cap-add", multiple=True, metavar="CAP", help="Add a capability, or ALL."),
    click.option("--cap-drop", multiple=True, metavar="CAP", help="Drop a capability, or ALL."),
    click.option(
        "--security-opt",
        multiple=True,
        metavar="OPT",
        help="no-new-privileges[:false], seccomp=FILE|unconfined|builtin, systempaths=unconfined, mask=/A:/B, "
        "unmask=ALL|/A:/B, apparmor=PROFILE, label=KIND:VALUE.",
    ),
    click.option("--group-add", multiple=True, metavar="GROUP", help="A further group, by name or number."),
)


@dataclass(slots=True)
class Security:
    """All --security-opt together."""

    no_new_privileges: bool | None = None
    seccomp: str = ""
    apparmor: str = ""
    label: dict[str, str] = field(default_factory=dict)
    mask: list[str] = field(default_factory=list)
    unmask: list[str] = field(default_factory=list)

    @property
    def selinux(self) -> str:
        """The whole label; empty when no part was given."""
        return ":".join((_LABEL | self.label).values()) if self.label else ""


def security(texts: Iterable[str]) -> Security:
    """Docker's and Podman's words. Reads the file of a seccomp profile. Raises InvalidArgument."""
    found = Security()
    for text in texts:
        key, value = _split(text)
        match key:
            case "no-new-privileges" if value in ("", "true", "false"):
                found.no_new_privileges = value != "false"
            case "seccomp" if value:
                found.seccomp = value if value in ("unconfined", "builtin") else _read(value)
            case "apparmor" if value:
                found.apparmor = value
            case "label" if value:
                _add_label(found, value)
            case "systempaths" if value == "unconfined":
                found.unmask.append("ALL")
            case "mask" | "unmask" if value:
                getattr(found, key).extend(_paths(text, value, may_be_all=key == "unmask"))
            case _:
                raise InvalidArgument(f"--security-opt {text}: not supported", hint=_KNOWN)
    return found


def _split(text: str) -> tuple[str, str]:
    """At the first `=`; without one at the first colon, as it was written once."""
    separator = "=" if "=" in text else ":"
    key, _, value = text.partition(separator)
    return key, value


def _read(name: str) -> str:
    try:
        with open(name, "rb") as file:
            data = file.read(_MOST + 1)
        text = data.decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InvalidArgument(f"--security-opt seccomp={name}: {(reason or 'cannot be read').lower()}") from error
    if len(data) > _MOST or not text.lstrip().startswith("{"):
        raise InvalidArgument(f"--security-opt seccomp={name}: not a JSON document of at most {_MOST} bytes")
    return text


def _add_label(found: Security, value: str) -> None:
    kind, _, part = value.partition(":")
    if value == "disable":
        found.label.clear()
    elif kind in _LABEL and part:
        found.label[kind] = part
    else:
        raise InvalidArgument(
            f"--security-opt label={value}: not supported", hint=f"disable, or {', '.join(_LABEL)} and a value"
        )


def _paths(text: str, value: str, *, may_be_all: bool) -> list[str]:
    paths = value.split(":")
    for path in paths:
        if not path.startswith("/") and not (may_be_all and value == "ALL"):
            raise InvalidArgument(f"--security-opt {text}: {path!r} is not an absolute path")
    return paths


def fill(request: pb.CreateContainerRequest, options: dict[str, Any]) -> None:
    """Raises InvalidArgument."""
    wanted = security(options["security_opt"])
    request.privileged = options["privileged"]
    request.cap_add.extend(options["cap_add"])
    request.cap_drop.extend(options["cap_drop"])
    if wanted.no_new_privileges is not None:
        request.no_new_privileges = wanted.no_new_privileges
    request.seccomp, request.apparmor, request.selinux = wanted.seccomp, wanted.apparmor, wanted.selinux
    request.mask.extend(wanted.mask)
    request.unmask.extend(wanted.unmask)
    request.group_add.extend(options["group_add"])
