"""One process for one data directory.

Two writers would tear each other's log, so the directory is locked with `flock`, which the
kernel lets go of when the process ends, however it ends. The file holds the process id for
the error message only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tocsin.model.errors import StoreUnusable

_NAME = "lock"


class DirectoryLock:
    """Holds a directory until `release()`."""

    def __init__(self, directory: Path) -> None:
        """Lock `directory`, which must exist. Raises StoreUnusable when another process has it."""
        self._fd = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreUnusable(
                f"metric directory {directory} is in use by another process (pid {holder}): "
                "stop it, or choose another data directory"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of the directory. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
