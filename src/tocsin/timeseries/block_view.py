"""A block as it is to be seen: its samples without those that were deleted since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tocsin.timeseries.block_reader import BlockReader, Column
from tocsin.timeseries.postings import Mask, SeriesIds
from tocsin.timeseries.tombstones import Hidden, visible


class BlockView:
    """A reader and what it must not show. Belongs to one thread at a time."""

    def __init__(self, reader: BlockReader, hidden: Sequence[Hidden]) -> None:
        """Look at the block of `reader`. Raises BadBlock, OSError."""
        self.reader = reader
        self.index = reader.contents().index
        self._hidden: dict[int, list[Hidden]] = {}
        for each in hidden:
            for series in self.index.select(each.matchers).tolist():
                self._hidden.setdefault(series, []).append(each)

    def touched(self) -> Mask:
        """Mark the series something may be hidden of."""
        marks = np.zeros(len(self.index), np.bool_)
        marks[list(self._hidden)] = True
        return marks

    def columns(self, wanted: SeriesIds, start_ms: int, end_ms: int) -> Iterator[Column]:
        """Yield the samples in range that are to be seen, as `BlockReader.columns` does."""
        return self._seen(self.reader.columns(wanted, start_ms, end_ms))

    def chunk(self, row: int) -> Iterator[Column]:
        """Yield what is to be seen of one chunk. Raises BadBlock, OSError."""
        return self._seen(self.reader.chunk(row))

    def present(self, wanted: SeriesIds, start_ms: int, end_ms: int) -> SeriesIds:
        """Return which of `wanted`, which ascend, have a sample in range that is to be seen."""
        if not self._hidden:
            return self.reader.present(wanted, start_ms, end_ms)
        doubtful = self.touched()[wanted]
        found = self.reader.present(wanted[~doubtful], start_ms, end_ms).tolist()
        seen = {each.series for each in self.columns(wanted[doubtful], start_ms, end_ms)}
        return np.asarray(sorted([*found, *seen]), np.int32)

    def _seen(self, columns: Iterator[Column]) -> Iterator[Column]:
        for column in columns:
            kept = visible(column.times, self._hidden.get(column.series, ()))
            if kept is None:
                yield column
            elif kept.any():
                yield Column(column.series, column.times[kept], column.values[kept])
