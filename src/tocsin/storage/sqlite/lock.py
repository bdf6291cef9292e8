"""One process a data directory: a lock that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tocsin.model.errors import StoreUnusable

_FILE = "tocsin.lock"


class DirectoryLock:
    """An exclusive lock on a data directory; the file holds the owner's process id.

    The lock is the kernel's (flock), so a file left by a killed process locks nobody out.
    """

    def __init__(self, directory: Path) -> None:
        """Take the lock. Raises StoreUnusable naming the process that holds it."""
        path = directory / _FILE
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreUnusable(
                f"data directory {directory} is in use by process {owner}: "
                "stop that process or choose another data directory"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the directory free; calling again does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
