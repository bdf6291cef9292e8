"""`file_sd_configs`: targets listed in files that may change at any time.

The files are looked at every few seconds by size, time and inode, which also works where the
kernel reports no changes (network file systems, mounted volumes). A file that cannot be read,
or is broken (perhaps still being written), keeps its last good targets; one that is gone has
none.
"""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tocsin.metrics_collector.discovery import (
    MAX_LIST_BYTES,
    Discoverer,
    Groups,
    groups_from_json,
    groups_from_yaml,
)
from tocsin.metrics_collector.discovery_config import FileSdConfig
from tocsin.metrics_collector.ports import Stamp, TargetFiles
from tocsin.model.errors import InvalidInput, LimitExceeded, TocsinError, Unreachable

LOOK_EVERY = timedelta(seconds=2)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class DiskFiles(TargetFiles):
    """Files of this machine, read in threads."""

    async def stamps(self, patterns: Sequence[str]) -> dict[str, Stamp]:
        """Return a stamp of each file that matches."""
        return await asyncio.to_thread(_stamps, patterns)

    async def read(self, path: str) -> bytes:
        """Return a file's content."""
        return await asyncio.to_thread(_content, path)


def _stamps(patterns: Sequence[str]) -> dict[str, Stamp]:
    found = (path for pattern in patterns for path in glob.glob(pattern))  # noqa: PTH207
    return {path: stamp for path in sorted(found) if (stamp := _stamp(Path(path))) is not None}


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise Unreachable(f"cannot read: {error.strerror or error}") from error
    if len(content) > MAX_LIST_BYTES:
        raise LimitExceeded(f"file is over {MAX_LIST_BYTES} bytes")
    return content


class FileDiscovery(Discoverer):
    """The files of one `file_sd_config`; each group bears its file as `__meta_filepath`."""

    mechanism = "file"

    def __init__(self, name: str, config: FileSdConfig, files: TargetFiles) -> None:
        """Begin with no targets; `name` is unique within the tenant."""
        self.name = name
        self.interval = min(LOOK_EVERY, config.refresh_interval)
        self.errors = {}
        self._config = config
        self._files = files
        self._seen: dict[str, Stamp] = {}
        self._good: dict[str, Groups] = {}
        self._read_at = _LONG_AGO

    async def look(self, now: datetime) -> None:
        """Read the files that are new or changed, and all of them once per refresh interval."""
        if abs(now - self._read_at) >= self._config.refresh_interval:
            self._seen, self._read_at = {}, now
        stamps = await self._files.stamps(self._config.files)
        changed = [path for path in stamps if self._seen.get(path) != stamps[path]]
        for path in changed:
            await self._read(path)
        self._seen = stamps
        self._good = {path: self._good[path] for path in stamps if path in self._good}
        self.errors = {path: why for path, why in self.errors.items() if path in stamps}
        groups = tuple(group for path in self._good for group in self._good[path])
        if groups != self.groups:
            self.groups = groups

    async def _read(self, path: str) -> None:
        errors = {name: why for name, why in self.errors.items() if name != path}
        try:
            self._good[path] = groups_of(path, await self._files.read(path))
        except TocsinError as error:
            errors[path] = str(error)
        self.errors = errors


def groups_of(path: str, content: bytes) -> Groups:
    """Return the groups of a file; its name tells the form. Raises InvalidInput."""
    meta = {"__meta_filepath": path}
    form = Path(path).suffix.lower()
    if form == ".json":
        return groups_from_json(content, meta)
    if form in (".yml", ".yaml"):
        return groups_from_yaml(content, meta)
    raise InvalidInput("name ends neither in .json nor in .yml or .yaml")
