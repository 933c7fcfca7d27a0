"""The container's log, in the Kubernetes CRI format: `TIME stream F|P text`.

`F` ends with an end of line that the container wrote; `P` is a piece whose line goes on in the next record of the same
stream. So every byte can be had back as it was written.
"""

from __future__ import annotations

import os
import time
from typing import Final

_STREAMS: Final = (b" stdout ", b" stderr ")


class LogFile:
    """Appends records to one file, which it owns."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._second = 0
        self._prefix = b""
        self.lost_bytes = 0
        """What could not be written (a full disk): the container goes on all the same."""

    def write(self, is_stderr: bool, data: bytes) -> None:
        """Append what was read from a stream in one go, as one record a line."""
        head = self._time() + _STREAMS[is_stderr]
        *lines, rest = data.split(b"\n")
        records = [head + b"F " + line + b"\n" for line in lines]
        if rest:
            records.append(head + b"P " + rest + b"\n")
        self._append(b"".join(records))

    def close(self) -> None:
        """No more will be written."""
        os.close(self._fd)

    def _append(self, records: bytes) -> None:
        view = memoryview(records)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self._take_back(records, len(records) - len(view))

    def _take_back(self, records: bytes, written: int) -> None:
        """Cut off the record that was begun: who reads the log must find whole ones only."""
        whole = records.rfind(b"\n", 0, written) + 1
        if whole < written:
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - (written - whole))
        self.lost_bytes += len(records) - whole

    def _time(self) -> bytes:
        """RFC 3339 with nine digits; the part that changes once a second is kept."""
        second, fraction = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
        return self._prefix + b"%09dZ" % fraction
