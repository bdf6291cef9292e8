"""Log segments as files: naming, listing, appending, cutting, forcing to disk.

A segment is written by one process and only at its end. A write that fails half-way is cut
off again, so that a full disk leaves no torn frame in the middle of a log. Nothing here knows
what the bytes mean.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tocsin.model.errors import NotDurable

_SUFFIX = ".wal"


@dataclass(slots=True)
class Segment:
    """A finished or growing segment; `newest_ms` is its newest sample time, None: no sample."""

    path: Path
    size: int = 0
    newest_ms: int | None = None

    @property
    def index(self) -> int:
        """Return the number in the name of the file."""
        return int(self.path.stem)

    def saw(self, ts_ms: int) -> None:
        """Note the time of a sample in the segment."""
        self.newest_ms = ts_ms if self.newest_ms is None else max(ts_ms, self.newest_ms)


def list_segments(directory: Path) -> list[Segment]:
    """Return the segments in a directory, oldest first."""
    paths = (path for path in directory.glob(f"*{_SUFFIX}") if path.stem.isdecimal())
    found = [Segment(path, path.stat().st_size) for path in paths]
    return sorted(found, key=lambda segment: segment.index)


def segment_path(directory: Path, index: int) -> Path:
    """Return where segment number `index` lies."""
    return directory / f"{index:08d}{_SUFFIX}"


class SegmentFile:
    """A segment open for appending. `append` in one thread, `sync` in any one at a time."""

    def __init__(self, path: Path) -> None:
        """Create the file, which must not exist. Raises NotDurable."""
        self.path = path
        self._size = 0
        self._entered = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o640)
        except OSError as error:
            raise NotDurable(f"cannot create {path}: {error.strerror}") from error

    def append(self, data: bytes) -> None:
        """Write all of `data` behind the last byte, or nothing. Raises NotDurable."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            raise NotDurable(f"cannot write {self.path}: {error.strerror}") from error
        self._size += len(data)

    def sync(self) -> None:
        """Force what was appended to disk. Raises NotDurable."""
        try:
            os.fsync(self._fd)
            if not self._entered:
                sync_directory(self.path.parent)
                self._entered = True
        except OSError as error:
            raise NotDurable(f"cannot sync {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def create_file(path: Path) -> BinaryIO:
    """Return a new file, which must not exist, open for writing. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o640), "wb", buffering=1 << 20)


def make_directory(path: Path) -> None:
    """Create `path` and its parents, private to the owner's group, and enter them on disk."""
    missing = [each for each in (path, *path.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(mode=0o750, exist_ok=True)  # with parents=True only the last gets the mode
        sync_directory(each.parent)


def sync_directory(path: Path) -> None:
    """Force the entries of a directory to disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
