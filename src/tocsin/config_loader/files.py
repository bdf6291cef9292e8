"""The files a configuration is made of: read once, remembered, compared by content.

`Files` reads during one load. `Sources` is what it leaves behind: enough to tell later, from
content alone, whether a load would give something else (editors, Kubernetes and symlink
swaps replace files; times and inodes say nothing).
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tocsin.config_loader.tree import MAX_BYTES

_WORLD_READABLE = 0o004


class Unreadable(Exception):
    """A file could not be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What one load read: absolute paths, glob patterns, and `hash` of it all (SHA-256)."""

    files: tuple[Path, ...]
    globs: tuple[str, ...]
    hash: str

    def digest(self) -> str:
        """Return the hash of what is there now; blocks on disk."""
        found = {path for pattern in self.globs for path in _matching(pattern)}
        return _digest({path: _bytes(path) for path in found.union(self.files)})


class Files:
    """Reads files for one load."""

    def __init__(self) -> None:
        self._read: dict[Path, bytes | None] = {}
        self._globs: dict[str, None] = {}

    def text(self, path: Path) -> str:
        """Return the content of a UTF-8 file, at most 1 MiB. Raises Unreadable."""
        absolute = path.absolute()
        self._read[absolute] = None
        try:
            with absolute.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise Unreadable(f'cannot read "{path}": {_reason(error)}') from error
        self._read[absolute] = content
        if len(content) > MAX_BYTES:
            raise Unreadable(f'"{path}" is too large: over {MAX_BYTES} bytes')
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise Unreadable(f'"{path}" is not UTF-8 (line {line})') from error

    def matching(self, pattern: Path) -> list[Path]:
        """Return the files a pattern matches, in order; a plain path matches itself, if there."""
        self._globs[str(pattern.absolute())] = None
        return sorted(Path(found) for found in glob.glob(str(pattern)))  # noqa: PTH207

    def sources(self) -> Sources:
        """Return what was read so far."""
        return Sources(tuple(self._read), tuple(self._globs), _digest(self._read))


def is_pattern(path: str) -> bool:
    """Tell a glob pattern from a plain path."""
    return glob.has_magic(path)


def world_readable(path: Path) -> bool:
    """Tell whether every user of the machine may read an existing file."""
    return bool(path.stat().st_mode & _WORLD_READABLE)


def _matching(pattern: str) -> Iterable[Path]:
    return (Path(found) for found in glob.glob(pattern))  # noqa: PTH207  # needs absolute text


def _bytes(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        return None


def _digest(contents: Mapping[Path, bytes | None]) -> str:
    """Hash names and contents; a missing file differs from an empty one."""
    whole = hashlib.sha256()
    for path in sorted(contents):
        content = contents[path]
        shown = "-" if content is None else hashlib.sha256(content).hexdigest()
        whole.update(f"{path}\0{shown}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
