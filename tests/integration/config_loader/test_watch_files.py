"""A change of any file is noticed once, by content, however it was made."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tocsin.config_loader.files import Files, Sources
from tocsin.config_loader.watch import changes

pytestmark = pytest.mark.looptime(False)

PATIENCE_S = 10.0
QUIET_MS = 20


def sources(*paths: Path, globs: tuple[Path, ...] = ()) -> Sources:
    files = Files()
    for path in (*paths, *(found for pattern in globs for found in files.matching(pattern))):
        files.text(path)
    return files.sources()


class Watched:
    """A configuration in force, and the changes of its files."""

    def __init__(self, *paths: Path, globs: tuple[Path, ...] = (), poll_ms: int = 100) -> None:
        self.paths, self.globs = paths, globs
        self.current = sources(*paths, globs=globs)
        self.changes = changes(lambda: self.current, quiet_ms=QUIET_MS, poll_ms=poll_ms)

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return await anext(self.changes)

    def reload(self) -> None:
        self.current = sources(*self.paths, globs=self.globs)


async def started(watched: Watched) -> asyncio.Task[str]:
    """Return the task that waits for the next change, after giving it a moment to begin."""
    waiting = asyncio.create_task(watched.next())
    await asyncio.wait({waiting}, timeout=0.1)
    return waiting


async def ended(watched: Watched) -> None:
    close = watched.changes.aclose  # type: ignore[attr-defined]  # an async generator
    await close()


async def test_a_rewritten_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    watched = Watched(path)
    waiting = await started(watched)
    path.write_text("2")
    assert await waiting == watched.current.digest()
    await ended(watched)


async def test_the_kernel_tells_without_waiting_for_the_slow_look(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("0")
    watched = Watched(path, poll_ms=60_000)
    waiting = await started(watched)
    for version in range(1, 100):  # the watch begins in a thread that tells nobody when
        path.write_text(str(version))
        await asyncio.wait({waiting}, timeout=0.1)
        if waiting.done():
            break
    await waiting
    await ended(watched)


async def test_a_change_before_the_watch_began_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    watched = Watched(path)
    path.write_text("2")
    assert await watched.next() == watched.current.digest()
    await ended(watched)


async def test_a_touched_file_is_not_a_change(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    watched = Watched(path)
    waiting = await started(watched)
    path.touch()
    path.write_text("1")
    await asyncio.wait({waiting}, timeout=0.3)
    assert not waiting.done()
    path.write_text("2")
    await waiting
    await ended(watched)


async def test_a_file_replaced_as_editors_do_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    watched = Watched(path)
    waiting = await started(watched)
    (tmp_path / ".a.yaml.swp").write_text("2")
    (tmp_path / ".a.yaml.swp").replace(path)
    assert await waiting == watched.current.digest()
    await ended(watched)


async def test_a_deleted_file_is_noticed_and_so_is_its_return(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    watched = Watched(path)
    waiting = await started(watched)
    path.unlink()
    gone = await waiting
    waiting = asyncio.create_task(watched.next())
    path.write_text("1")
    assert await waiting == watched.current.hash != gone
    await ended(watched)


async def test_a_swapped_symlink_is_noticed(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("v1")
    mounted = tmp_path / "config"
    mounted.mkdir()
    (mounted / "a.yaml").symlink_to("../..data/a.yaml")
    watched = Watched(mounted / "a.yaml")
    waiting = await started(watched)
    (tmp_path / "..next").symlink_to("v2")
    os.replace(tmp_path / "..next", tmp_path / "..data")  # noqa: PTH105  # a rename of the link
    assert await waiting == watched.current.digest()
    await ended(watched)


async def test_a_new_match_of_a_pattern_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.yml").write_text("1")
    watched = Watched(globs=(tmp_path / "*" / "*.yml",))
    waiting = await started(watched)
    (tmp_path / "a" / "2.yml").write_text("2")
    await waiting
    watched.reload()
    waiting = await started(watched)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "3.yml").write_text("3")
    await waiting
    await ended(watched)


async def test_a_reload_that_failed_is_not_tried_again_until_the_next_change(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    watched = Watched(path)
    waiting = await started(watched)
    path.write_text("broken")
    await waiting
    waiting = await started(watched)
    assert not waiting.done()
    path.write_text("1")
    assert await waiting == watched.current.hash
    await ended(watched)


async def test_a_reload_may_read_other_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "sub" / "b.yaml"
    second.parent.mkdir()
    first.write_text("1")
    second.write_text("1")
    watched = Watched(first)
    waiting = await started(watched)
    first.write_text("2")
    await waiting
    watched.paths = (first, second)
    watched.reload()
    waiting = await started(watched)
    second.write_text("2")
    assert await waiting == watched.current.digest()
    await ended(watched)


async def test_a_folder_deleted_and_made_anew_is_watched_again(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "a.yaml").write_text("1")
    watched = Watched(folder / "a.yaml")
    waiting = await started(watched)
    shutil.rmtree(folder)
    await waiting
    waiting = await started(watched)
    folder.mkdir()
    (folder / "a.yaml").write_text("2")
    await waiting
    waiting = await started(watched)
    (folder / "a.yaml").write_text("3")
    await waiting
    await ended(watched)


async def test_cancelling_ends_the_watch(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1")
    watched = Watched(path)

    async def forever() -> None:
        stream: AsyncIterator[str] = watched.changes
        async with aclosing(stream):  # type: ignore[type-var]  # an async generator
            async for _ in stream:
                pass

    task = asyncio.create_task(forever())
    await asyncio.wait({task}, timeout=0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE_S):
            await task
