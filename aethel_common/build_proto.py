"""`build-proto`: write the Python stubs of proto/aethel.proto anew (needs grpcio-tools and mypy-protobuf)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

PACKAGE = "aethel_common/rpc"


def generate(proto_directory: Path, output: Path) -> None:
    """Compile every .proto of `proto_directory` into `output`/aethel_common/rpc. Raises SystemExit with a reason."""
    try:
        from grpc_tools import protoc
    except ImportError:
        raise SystemExit("build-proto: grpcio-tools is not installed; `pip install -e .[dev]` brings it") from None
    plugin = shutil.which("protoc-gen-mypy", path=str(Path(sys.executable).parent)) or shutil.which("protoc-gen-mypy")
    if plugin is None:
        raise SystemExit("build-proto: mypy-protobuf is not installed; `pip install -e .[dev]` brings it")
    sources = sorted(proto_directory.glob("*.proto"))
    if not sources:
        raise SystemExit(f"build-proto: no .proto file in {proto_directory}")
    well_known = Path(protoc.__file__).parent / "_proto"
    # The virtual path makes protoc write `from aethel_common.rpc import ...`, so nothing needs mending afterwards.
    code = protoc.main(
        [
            "protoc",
            f"-I{PACKAGE}={proto_directory}",
            f"-I{well_known}",
            f"--plugin=protoc-gen-mypy={plugin}",
            f"--python_out={output}",
            f"--grpc_python_out={output}",
            f"--mypy_out=quiet:{output}",
            *(f"{PACKAGE}/{source.name}" for source in sources),
        ]
    )
    if code != 0:
        raise SystemExit(f"build-proto: protoc ended with {code}")


def main() -> None:
    """Run in the root of a checkout; the stubs are committed."""
    root = Path.cwd()
    if not (root / "proto" / "aethel.proto").is_file():
        raise SystemExit("build-proto: run it in the root of a checkout; there is no proto/aethel.proto here")
    generate(root / "proto", root)
    print(f"wrote {PACKAGE}/aethel_pb2.py, aethel_pb2.pyi, aethel_pb2_grpc.py")
