"""Chunks that wait to be packed: many are packed together, because small ones cost most alone.

Rows wait as they are until enough cells have come together: some thousand, a few milliseconds
of work. What waits is limited by that number too, so nothing needs to be packed at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tocsin.model.ring import ABSENT
from tocsin.model.series import Values
from tocsin.timeseries.chunk import Chunk, Packing
from tocsin.timeseries.packed import PackedBlock, pack, unpack

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
        for group in _by_rows(
            (chunk, rows) for chunk in ripe if (rows := chunk.ripe()) is not None
        ):
            for chunk, block in _packed(group):
                chunk.pack(block)
        for group in _by_rows(_whole(closed)):
            for chunk, block in _packed(group):
                chunk.replace(block)


def _by_rows(found: Iterable[tuple[Chunk, Values]]) -> Iterable[list[tuple[Chunk, Values]]]:
    """Return chunks with their values, those with as many rows together."""
    groups: dict[int, list[tuple[Chunk, Values]]] = {}
    for chunk, values in found:
        groups.setdefault(len(values), []).append((chunk, values))
    return groups.values()


def _packed(group: Sequence[tuple[Chunk, Values]]) -> Iterator[tuple[Chunk, PackedBlock]]:
    blocks = pack([values for _, values in group])
    return zip((chunk for chunk, _ in group), blocks, strict=True)


def _whole(chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Values]]:
    """Yield each chunk with all its rows."""
    opened = _opened([piece for chunk in chunks for piece in chunk.body().pieces])
    for chunk in chunks:
        body, width = chunk.body(), len(chunk.columns)
        values = np.full((chunk.used, width), ABSENT)
        row = 0
        for piece in body.pieces:
            values[row : row + piece.rows, : piece.width] = opened[id(piece)]
            row += piece.rows
        values[row:] = body.tail[: chunk.used - row, :width]
        yield chunk, values


def _opened(pieces: Sequence[PackedBlock]) -> dict[int, Values]:
    """Return the values of pieces, by identity."""
    groups: dict[int, list[PackedBlock]] = {}
    for piece in pieces:
        groups.setdefault(piece.rows, []).append(piece)
    return {
        id(piece): values
        for group in groups.values()
        for piece, values in zip(
            group, unpack([(piece, np.arange(piece.width)) for piece in group]), strict=True
        )
    }
