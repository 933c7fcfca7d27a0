"""libnftables through ctypes: a transaction costs a tenth of a millisecond, the `nft` command two."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from functools import cache
from typing import Final

from aethel_common.errors import AethelError, Unsupported

_LIBRARY: Final = "libnftables.so.1"
_MISSING: Final = ("not supported", "No such file or directory", "Protocol error", "Invalid argument")
_lock = threading.Lock()


def run(commands: str) -> None:
    """Apply nft commands in one transaction. Raises Unsupported (no library and no command, or not in this kernel)."""
    code, problem = _by_library(commands) if _library() is not None else _by_command(commands)
    if code == 0:
        return
    first = problem.strip().splitlines()[0] if problem.strip() else f"nft ended with {code}"
    if any(word in problem for word in _MISSING):
        raise Unsupported(f"nftables NAT: {first}")
    raise AethelError(f"nftables: {first}")


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    for function in (library.nft_ctx_buffer_error, library.nft_ctx_buffer_output, library.nft_ctx_free):
        function.argtypes = (ctypes.c_void_p,)
    library.nft_ctx_get_error_buffer.argtypes = (ctypes.c_void_p,)
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    return library


def _by_library(commands: str) -> tuple[int, str]:
    library = _library()
    assert library is not None
    with _lock:
        context = library.nft_ctx_new(0)
        try:
            library.nft_ctx_buffer_error(context)
            library.nft_ctx_buffer_output(context)
            code = library.nft_run_cmd_from_buffer(context, commands.encode())
            return code, (library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace")
        finally:
            library.nft_ctx_free(context)


def _by_command(commands: str) -> tuple[int, str]:
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if nft is None:
        raise Unsupported(f"neither {_LIBRARY} nor the nft command is installed", hint="apt-get install nftables")
    done = subprocess.run([nft, "-f", "-"], input=commands, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr
