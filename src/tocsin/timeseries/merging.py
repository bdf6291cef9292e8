"""Several blocks made into one, and a block without what was deleted from it.

Series are numbered anew over all blocks, and the samples follow. Where the blocks do not
overlap and nothing was deleted, which is nearly everywhere, chunks are copied as they are:
only their fronts, which name series and clocks, are written again. Elsewhere samples are read,
put together and coded afresh.

This is work for a thread beside the store's: it touches immutable files only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tocsin.timeseries.admission import FURTHEST_MS
from tocsin.timeseries.block import Block, Fault
from tocsin.timeseries.block_codec import BadBlock, Ints, Mask
from tocsin.timeseries.block_index import Index
from tocsin.timeseries.block_reader import BlockReader, Column
from tocsin.timeseries.block_view import BlockView
from tocsin.timeseries.block_writer import BlockWriter, writing_block
from tocsin.timeseries.gathered import Piece, join
from tocsin.timeseries.index_merge import merged_index
from tocsin.timeseries.sealing import Order
from tocsin.timeseries.tombstones import Hidden

_AT_ONCE = 4096  # series of which the samples of one cluster are in memory together

Sources = Sequence[tuple[Block, Sequence[Hidden]]]


@dataclass(slots=True, eq=False)
class Merge:
    """The making of one block out of several; `path` is where it is, None: nothing was left."""

    order: Order
    sources: Sources
    path: Path | None = None

    def run(self) -> None:
        """Write the block; a source with a damaged index is noted and left out. Raises OSError."""
        with ExitStack() as opened:
            views = []
            for block, hidden in self.sources:
                try:
                    views.append(BlockView(opened.enter_context(BlockReader(block)), hidden))
                except BadBlock as fault:
                    block.note(Fault(block.path, str(fault)))
            if not views:
                return
            index, numbers = merged_index(
                [view.index for view in views], [_surviving(view) for view in views]
            )
            if len(index[1]):
                merging = [_Merging(*each) for each in zip(views, numbers, strict=True)]
                self._write(merging, index)

    def _write(self, merging: Sequence[_Merging], index: Index) -> None:
        order = self.order
        with writing_block(order.directory, order.tenant, order.ulid) as writer:
            for cluster in _clusters(merging):
                if len(cluster) == 1:
                    self._copy(*cluster[0], writer)
                else:
                    self._join(cluster, writer, series=len(index[1]))
                writer.end_window()
            self.path = writer.finish(index, order.about).path

    def _copy(self, source: _Merging, rows: Ints, writer: BlockWriter) -> None:
        """Write chunks that overlap with no other block's."""
        for row in rows.tolist():
            self.order.check()
            try:
                source.copy(row, writer)
            except BadBlock as fault:
                block = source.view.reader.block
                block.note(Fault(block.path, str(fault)))

    def _join(
        self, cluster: Sequence[tuple[_Merging, Ints]], writer: BlockWriter, *, series: int
    ) -> None:
        """Write the samples of chunks that overlap, some series at a time."""
        for first in range(0, series, _AT_ONCE):
            self.order.check()
            pieces: dict[int, list[Piece]] = {}
            for source, rows in cluster:
                for column in source.columns(rows, first, first + _AT_ONCE):
                    pieces.setdefault(column.series, []).append((column.times, column.values))
            for number in sorted(pieces):
                writer.add(number, *join(pieces[number]))


class _Merging:
    """One source of a merge; `numbers` are the new numbers of its series."""

    def __init__(self, view: BlockView, numbers: Ints) -> None:
        self.view = view
        self._numbers = numbers
        self._touched = np.flatnonzero(view.touched())
        self._clocks: dict[int, int] = {}  # new numbers of clocks

    def copy(self, row: int, writer: BlockWriter) -> None:
        """Write one chunk; its samples are not looked at unless some are deleted."""
        chunks = self.view.reader.contents().chunks
        first, last = int(chunks.first[row]), int(chunks.last[row])
        if np.searchsorted(self._touched, first) < np.searchsorted(self._touched, last, "right"):
            for series, times, values in self.view.chunk(row):
                writer.add(int(self._numbers[series]), times, values)
            writer.end_window()
            return
        heads = self.view.reader.heads(row)
        clocks = [self._clock(clock, writer) for clock in heads.clocks.tolist()]
        columns = (self._numbers[heads.series], np.asarray(clocks, np.int64), heads.lengths)
        span = (int(chunks.mint[row]), int(chunks.maxt[row]))
        writer.add_chunk(columns, heads.data, mint=span[0], maxt=span[1])

    def columns(self, rows: Ints, first: int, last: int) -> Iterator[Column]:
        """Yield the samples of chunks of series with new numbers first <= n < last."""
        chunks = self.view.reader.contents().chunks
        wanted = np.flatnonzero((self._numbers >= first) & (self._numbers < last))
        span = (int(chunks.mint[rows].min()), int(chunks.maxt[rows].max()))
        for series, times, values in self.view.columns(wanted.astype(np.int32), *span):
            yield Column(int(self._numbers[series]), times, values)

    def _clock(self, clock: int, writer: BlockWriter) -> int:
        known = self._clocks.get(clock)
        if known is None:
            known = self._clocks[clock] = writer.clock(self.view.reader.clock(clock))
        return known


def _surviving(view: BlockView) -> Mask:
    """Mark the series of which anything is left."""
    kept = ~view.touched()
    doubtful = np.flatnonzero(~kept).astype(np.int32)
    for column in view.columns(doubtful, -FURTHEST_MS, FURTHEST_MS):
        kept[column.series] = True
    return kept


def _clusters(merging: Sequence[_Merging]) -> Iterator[list[tuple[_Merging, Ints]]]:
    """Yield the chunks that overlap in time with one another, by source, oldest first."""
    tables = [source.view.reader.contents().chunks for source in merging]
    mint = np.concatenate([table.mint for table in tables])
    maxt = np.concatenate([table.maxt for table in tables])
    origin = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    row = np.concatenate([np.arange(len(table)) for table in tables])
    order = np.argsort(mint, kind="stable")
    reach = np.maximum.accumulate(maxt[order])
    cuts = np.flatnonzero(mint[order][1:] > reach[:-1]) + 1
    for members in np.split(order, cuts):
        yield [
            (source, np.sort(row[members[origin[members] == at]]))
            for at, source in enumerate(merging)
            if (origin[members] == at).any()
        ]
