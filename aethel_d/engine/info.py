"""info: what this daemon found on its host; each feature is tried, not read off a version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aethel_common.errors import Unsupported
from aethel_d.engine import look
from aethel_d.engine.context import Engine
from aethel_d.engine.model import Feature, Status
from aethel_run.cgroup.tree import mount_point


@dataclass(frozen=True, slots=True)
class Info:
    """The host, and what runs on it."""

    features: tuple[Feature, ...]
    warnings: tuple[str, ...]
    containers: int
    running: int
    images: int
    launcher_pid: int
    cgroup_root: str


def info(engine: Engine) -> Info:
    """Look now."""
    features = (_cgroups(), *_file_systems(), _users(), _masquerade(engine))
    views = look.views(engine)
    return Info(
        features=features,
        warnings=tuple(f"{each.name}: {each.detail}" for each in features if not each.available),
        containers=len(views),
        running=sum(view.status is Status.RUNNING for view in views),
        images=len(engine.images.names()),
        launcher_pid=engine.launcher.pid,
        cgroup_root=str(engine.cgroup_root),
    )


def _cgroups() -> Feature:
    try:
        root = mount_point()
    except Unsupported as error:
        return Feature(name="cgroup2", available=False, detail=error.message)
    controllers = (root / "cgroup.controllers").read_text().strip() or "none"
    return Feature(name="cgroup2", available=True, detail=f"{root}, controllers: {controllers}")


def _file_systems() -> list[Feature]:
    words = Path("/proc/filesystems").read_text().split()
    return [
        Feature(name=name, available=name in words, detail="" if name in words else "not in this kernel")
        for name in ("overlay", "tmpfs", "mqueue")
    ]


def _users() -> Feature:
    limit = Path("/proc/sys/user/max_user_namespaces")
    count = limit.read_text().strip() if limit.exists() else "0"
    return Feature(name="user-namespaces", available=count != "0", detail=f"at most {count}")


def _masquerade(engine: Engine) -> Feature:
    problem = engine.network.masquerade_problem
    return Feature(name="nftables-nat", available=not problem, detail=problem)
