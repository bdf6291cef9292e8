"""Chunks that wait to be packed: many are packed together, because small ones cost most alone.

Rows wait as they are until enough cells have come together: some thousand, a few milliseconds
of work. What waits is limited by that number too, so nothing needs to be packed at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tocsin.timeseries.chunk import Chunk, Packing
from tocsin.timeseries.packed import Columns, Opening, PackedBlock, pack

AT_ONCE = 32_768  # cells


class PackingTogether(Packing):
    """Packs rows of the chunks of one head. Not thread-safe."""

    def __init__(self, *, at_once: int = AT_ONCE) -> None:
        """Pack as soon as `at_once` cells wait."""
        self._at_once = at_once
        self._ripe: dict[Chunk, None] = {}  # a chunk may ripen again while it waits
        self._closed: list[Chunk] = []
        self._waiting = 0

    def ripen(self, chunk: Chunk) -> None:
        """Pack what is `ripe` of an open chunk, now or soon."""
        self._ripe[chunk] = None
        self._wait(chunk)

    def close(self, chunk: Chunk) -> None:
        """Pack all of a chunk that is closed, now or soon."""
        self._closed.append(chunk)
        self._wait(chunk)

    def _wait(self, chunk: Chunk) -> None:
        self._waiting += chunk.used * len(chunk.columns)
        if self._waiting >= self._at_once:
            self._run()

    def _run(self) -> None:
        self._waiting = 0
        ripe, self._ripe = self._ripe, {}
        closed, self._closed = self._closed, []
        for chunk, rows, block in _packed((each, each.ripe()) for each in ripe):
            chunk.pack(rows, block)
        for chunk, _, block in _packed((each, slice(0, each.used)) for each in closed):
            chunk.replace(block)


def _packed(
    found: Iterable[tuple[Chunk, slice | None]],
) -> Iterator[tuple[Chunk, slice, PackedBlock]]:
    """Yield chunks and rows of them with these rows packed; those with as many rows together."""
    opening, groups = Opening(), dict[int, list[tuple[Chunk, slice, Columns]]]()
    for chunk, rows in found:
        if rows is not None:
            columns = np.arange(len(chunk.columns))
            chunk.ask(rows, columns, opening)
            groups.setdefault(rows.stop - rows.start, []).append((chunk, rows, columns))
    opening.open()
    for group in groups.values():
        blocks = pack([chunk.take(rows, columns, opening) for chunk, rows, columns in group])
        for (chunk, rows, _), block in zip(group, blocks, strict=True):
            yield chunk, rows, block
