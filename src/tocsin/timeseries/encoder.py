"""What one log segment already says, and so what the next samples must say first.

An encoder lives as long as its segment. It gives refs to series and layouts as they appear
and remembers the last value of each series. If a write fails, encoder and file no longer agree:
throw both away and begin a new segment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.series import Times, Values
from tocsin.timeseries import records
from tocsin.timeseries.postings import SeriesIds
from tocsin.timeseries.records import Bits, Packer, RecordType, Refs

Record: TypeAlias = tuple[RecordType, bytes]


@dataclass(slots=True)
class _Layout:
    """A layout as the segment knows it."""

    ref: int
    columns: SeriesIds
    refs: Refs


class SegmentEncoder:
    """The definitions one segment holds so far. Not thread-safe."""

    def __init__(self, labels_of: Callable[[int], Labels], packer: Packer) -> None:
        self._labels_of = labels_of
        self._packer = packer
        self._refs: npt.NDArray[np.int64] = np.empty(0, np.int64)  # by series id; -1: none
        self._last: Bits = np.zeros(0, np.uint64)  # by series ref
        self._series = 0
        self._layouts: dict[str, _Layout] = {}
        self._layout_refs = 0

    def row(self, group: str, columns: SeriesIds, ts_ms: int, row: Values) -> list[Record]:
        """Return the records for one row of a group."""
        layout = self._layouts.get(group)
        found: list[Record] = []
        if layout is None or layout.columns is not columns:
            layout, found = self._define_layout(group, columns)
        bits = row.view(np.uint64)
        change = bits ^ self._last[layout.refs]
        self._last[layout.refs] = bits
        found.append((RecordType.ROW, records.row(layout.ref, ts_ms, change, self._packer)))
        return found

    def samples(self, sids: SeriesIds, times: Times, values: Values) -> list[Record]:
        """Return the records for samples with times of their own."""
        refs, found = self._define_series(sids)
        bits = values.view(np.uint64)
        payload = records.changes(refs, times, bits ^ self._last[refs], self._packer)
        self._last[refs] = bits  # of several samples of a series the last one counts
        return [*found, (RecordType.CHANGES, payload)]

    def forget(self, sids: Sequence[int]) -> None:
        """Note that these ids may stand for other series from now on."""
        self._refs[[sid for sid in sids if sid < len(self._refs)]] = -1

    def _define_layout(self, group: str, columns: SeriesIds) -> tuple[_Layout, list[Record]]:
        refs, found = self._define_series(columns)
        layout = _Layout(self._layout_refs, columns, refs)
        self._layouts[group] = layout
        self._layout_refs += 1
        payload = records.layout(layout.ref, group, refs, self._packer)
        return layout, [*found, (RecordType.LAYOUT, payload)]

    def _define_series(self, sids: SeriesIds) -> tuple[Refs, list[Record]]:
        self._fit(int(sids.max(initial=-1)) + 1)
        refs = self._refs[sids]
        if refs.min(initial=0) >= 0:
            return refs.astype(np.uint32), []
        new = np.unique(sids[refs < 0])
        known = self._series
        self._series += len(new)
        self._refs[new] = np.arange(known, self._series)
        self._last = records.roomy(self._last, self._series)
        payload = records.series([self._labels_of(sid) for sid in new.tolist()], self._packer)
        return self._refs[sids].astype(np.uint32), [(RecordType.SERIES, payload)]

    def _fit(self, size: int) -> None:
        missing = size - len(self._refs)
        if missing > 0:
            more = np.full(max(missing, len(self._refs) // 2), -1, np.int64)
            self._refs = np.concatenate((self._refs, more))
