"""Where the daemon is found unless told otherwise; by itself, since a command needs nothing else of the layout."""

from __future__ import annotations

from typing import Final

DEFAULT_SOCKET: Final = "/run/aethelred.sock"
