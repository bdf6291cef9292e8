"""Tells when the files of a configuration hold something new.

Watches folders, not files: editors and Kubernetes replace files, and swap the symlinks they
are reached by. Whatever moves, only content counts. A slow look every few seconds catches
what the kernel does not report (network file systems, a folder deleted and made anew).
"""

from __future__ import annotations

import asyncio
import glob
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

from tocsin.config_loader.files import Sources, is_pattern

QUIET_MS = 500  # contracts/cli-and-conventions.md, section 3
POLL_MS = 5_000
_LONGEST_CHAIN = 40  # symlinks followed, as Linux does

Current = Callable[[], Sources]
_Folders = dict[Path, tuple[int, int]]  # folder -> device, inode


async def changes(
    current: Current, *, quiet_ms: int = QUIET_MS, poll_ms: int = POLL_MS
) -> AsyncIterator[str]:
    """Yield the new hash each time the files differ, once they were quiet for `quiet_ms`.

    `current` gives the sources of the configuration in force; it is asked again after each
    yield. While a reload fails it keeps giving the old ones, and nothing is yielded until the
    files change again. Ends only by cancellation.
    """
    sources = current()
    seen = sources.hash
    while True:
        folders = await asyncio.to_thread(_folders, sources)
        async with aclosing(_stirrings(folders, quiet_ms=quiet_ms, poll_ms=poll_ms)) as stirrings:
            async for _ in stirrings:
                digest = await asyncio.to_thread(sources.digest)
                if digest != seen:
                    yield digest
                    latest = current()
                    seen = digest if latest is sources else latest.hash
                    sources = latest
                if await asyncio.to_thread(_folders, sources) != folders:
                    break


async def _stirrings(
    folders: _Folders, *, quiet_ms: int, poll_ms: int
) -> AsyncGenerator[None, None]:
    """Yield once now, then whenever something moved in a folder, and every `poll_ms`."""
    yield
    if not folders:
        await asyncio.sleep(poll_ms / 1000)
        yield
        return
    moves = awatch(
        *folders,
        watch_filter=None,
        debounce=4 * quiet_ms,
        step=quiet_ms,
        rust_timeout=poll_ms,
        yield_on_timeout=True,
        recursive=False,
    )
    async with aclosing(moves):
        async for _ in moves:
            yield


def _folders(sources: Sources) -> _Folders:
    """Return every folder in which a change may alter what is read."""
    wanted: set[Path] = set()
    for path in sources.files:
        wanted |= _on_the_way(path)
    for pattern in sources.globs:
        wanted |= _below_pattern(pattern)
    return {folder: _identity(folder) for folder in map(_existing, wanted)}


def _on_the_way(path: Path) -> set[Path]:
    """Return the folders of a path and of every symlink met on the way to its file."""
    folders = {path.parent}
    for _ in range(_LONGEST_CHAIN):
        link = next((p for p in (*reversed(path.parents), path) if p.is_symlink()), None)
        if link is None:
            break
        folders.add(link.parent)
        path = link.parent / link.readlink() / path.relative_to(link)
        folders.add(path.parent)
    return folders


def _below_pattern(pattern: str) -> set[Path]:
    """Return the folders whose entries a pattern looks at, level by level."""
    folders: set[Path] = set()
    level = Path(pattern).parent
    while is_pattern(str(level)):
        folders.update(Path(found) for found in glob.glob(str(level)))  # noqa: PTH207
        level = level.parent
    folders.add(level)
    return folders


def _existing(folder: Path) -> Path:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)
