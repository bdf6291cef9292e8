"""What one log segment says, put back into a head.

Rows wait until there are many and are then decoded and put in together, layout by layout:
that is what makes a start quick. Nothing overtakes what it depends on: rows of a layout keep
their order, and before samples of a series come another way, what waits of it is put in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tocsin.model.sample import Metadata
from tocsin.model.series import Times, Values
from tocsin.timeseries import records
from tocsin.timeseries.admission import FURTHEST_MS, admit
from tocsin.timeseries.frames import Frame
from tocsin.timeseries.group import Group
from tocsin.timeseries.head import Head
from tocsin.timeseries.left_out import LeftOut
from tocsin.timeseries.postings import NO_SERIES, SeriesIds
from tocsin.timeseries.records import BadRecord, Bits, Packer, RecordType, Refs

_AT_ONCE = 1 << 22  # samples that wait: 32 MiB


@dataclass(slots=True, eq=False)
class _Layout:
    """A layout, and its rows that wait: times, and bytes as they lie in the log."""

    ref: int
    group: Group
    columns: SeriesIds
    refs: Refs
    times: list[int] = field(default_factory=list)
    planes: list[bytes] = field(default_factory=list)


class Replay:
    """Takes the records of one segment, in order. Say `settle` at the end."""

    def __init__(
        self,
        head: Head,
        metadata: dict[str, Metadata],
        *,
        left_out: LeftOut,
        packer: Packer,
        strings: dict[str, str],
    ) -> None:
        """Put samples into `head`; equal label texts become one object in `strings`."""
        self.newest_ms: int | None = None
        self._head = head
        self._metadata = metadata
        self._left_out = left_out
        self._packer = packer
        self._strings = strings
        self._series = 0
        # By ref of a series, with room to spare: its id; its last value; whose rows of it wait.
        self._sids: SeriesIds = NO_SERIES
        self._last: Bits = np.empty(0, np.uint64)
        self._waits: SeriesIds = NO_SERIES
        self._layouts: dict[int, _Layout] = {}
        self._by_group: dict[int, _Layout] = {}
        self._waiting = 0
        self._take: Mapping[int, Callable[[memoryview], None]] = {
            RecordType.SERIES: self._define_series,
            RecordType.LAYOUT: self._define_layout,
            RecordType.ROW: self._row,
            RecordType.SAMPLES: self._samples,
            RecordType.CHANGES: self._changes,
            RecordType.METADATA: self._describe,
        }

    def take(self, frame: Frame) -> None:
        """Take one record. Raises LookupError, ValueError and others when it means nothing."""
        self._take[frame.type](frame.payload)

    def settle(self) -> None:
        """Put in every row that waits."""
        for layout in self._layouts.values():
            if layout.times:
                self._settle(layout)

    # -- records -----------------------------------------------------------------------------

    def _define_series(self, payload: memoryview) -> None:
        found = records.read_series(payload, self._packer, self._strings)
        first = self._series
        self._series += len(found)
        self._last = records.roomy(self._last, self._series)
        self._sids, self._waits = (_roomy(each, self._series) for each in (self._sids, self._waits))
        for ref, labels in enumerate(found, first):
            sid = self._head.catalog.add(labels)
            self._left_out.define(sid, labels)
            self._sids[ref] = sid

    def _define_layout(self, payload: memoryview) -> None:
        ref, name, refs = records.read_layout(payload, self._packer)
        group = self._head.group(name)
        before = self._by_group.get(group.index)
        if before is not None and before.times:
            self._settle(before)
        layout = _Layout(ref, group, self._known(refs), refs)
        self._layouts[ref] = self._by_group[group.index] = layout

    def _row(self, payload: memoryview) -> None:
        ref, ts_ms, planes = records.open_row(payload, self._packer)
        layout = self._layouts[ref]
        if len(planes) != 8 * len(layout.refs):
            raise BadRecord("a row of another length than its layout")
        if not layout.times:
            self._settle_series(layout.refs)
            self._waits[layout.refs] = ref
        layout.times.append(ts_ms)
        layout.planes.append(planes)
        self._saw(ts_ms)
        self._waiting += len(layout.refs)
        if self._waiting >= _AT_ONCE:
            self.settle()

    def _samples(self, payload: memoryview) -> None:
        refs, times, bits = records.read_samples(payload, self._packer)
        self._settle_series(refs)
        self._admit(self._known(refs), times, bits.view(np.float64))
        self._saw(int(times.max()))

    def _changes(self, payload: memoryview) -> None:
        refs, times, change = records.read_changes(payload, self._packer)
        self._settle_series(refs)
        bits = change ^ self._last[refs]
        self._last[refs] = bits
        self._admit(self._known(refs), times, bits.view(np.float64))
        self._saw(int(times.max()))

    def _describe(self, payload: memoryview) -> None:
        self._metadata.update(records.read_metadata(payload))

    # -- samples -----------------------------------------------------------------------------

    def _settle_series(self, refs: Refs) -> None:
        """Put in the rows that wait of any of these series."""
        waits = self._waits[refs]
        for ref in np.unique(waits[waits >= 0]).tolist():
            self._settle(self._layouts[ref])

    def _settle(self, layout: _Layout) -> None:
        """Put in the rows of a layout that wait."""
        times, planes = np.asarray(layout.times, np.int64), layout.planes
        layout.times, layout.planes = [], []
        self._waits[layout.refs] = -1
        self._waiting -= len(times) * len(layout.refs)
        bits = records.row_bits(planes, len(layout.refs))
        bits[0] ^= self._last[layout.refs]
        np.bitwise_xor.accumulate(bits, axis=0, out=bits)
        self._last[layout.refs] = bits[-1]
        if layout.group.columns is not layout.columns:
            self._head.set_columns(layout.group, layout.columns)
            layout.columns = layout.group.columns
        self._put(layout, times, bits.view(np.float64))

    def _put(self, layout: _Layout, times: Times, values: Values) -> None:
        choosy = self._left_out.choosy
        kept = None if choosy else self._left_out.kept(np.zeros(len(times), np.int32), times)
        if kept is not None:
            times, values = times[kept], values[kept]
        if not len(times):
            return
        follow = bool((times[1:] > times[:-1]).all()) and self._head.fits(
            layout.group, int(times[0])
        )
        if follow and not choosy:
            self._head.add_rows(layout.group, times, values)
            return
        for ts_ms, row in zip(times.tolist(), values, strict=True):
            if not choosy and self._head.fits(layout.group, ts_ms):
                self._head.add_row(layout.group, ts_ms, row)
            else:
                self._admit(layout.columns, np.full(len(row), ts_ms, np.int64), row)

    def _admit(self, sids: SeriesIds, times: Times, values: Values) -> None:
        kept = self._left_out.kept(sids, times)
        if kept is not None:
            sids, times, values = sids[kept], times[kept], values[kept]
        found = admit(self._head, sids, times, values, window_ms=2 * FURTHEST_MS)
        if len(found.sids):
            self._head.add_batch(self._head.arrange(found.sids, found.times, found.values))

    def _known(self, refs: Refs) -> SeriesIds:
        sids: SeriesIds = self._sids[refs]
        if sids.min(initial=0) < 0:
            raise BadRecord("samples of a series that was not defined")
        return sids

    def _saw(self, ts_ms: int) -> None:
        self.newest_ms = ts_ms if self.newest_ms is None else max(ts_ms, self.newest_ms)


def _roomy(numbers: SeriesIds, size: int) -> SeriesIds:
    """Return `numbers` with room for at least `size`; -1 where there is none yet."""
    missing = size - len(numbers)
    if missing <= 0:
        return numbers
    return np.concatenate((numbers, np.full(max(missing, len(numbers) // 2), -1, np.int32)))
