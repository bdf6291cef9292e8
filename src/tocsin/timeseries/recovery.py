"""Reading a log back into memory at start.

Every segment is read as far as its frames are whole and right. What follows the last good
frame is cut off and counted as lost: after a crash that is the torn end of the last write.
Later segments do not depend on an earlier one, so damage in one costs the rest of that one
only. A segment of another format or tenant is left as it is and counted as lost. Start never
fails on what a log holds; it does fail when a file cannot be read at all.

Samples go through the rules of admission again (any age allowed), so that a sample written
twice, because its first write was not acknowledged, counts once. What blocks have already, or
what was deleted, is left out (`LeftOut`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import zstandard

from tocsin.model.sample import Metadata
from tocsin.model.series import Times, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries import records
from tocsin.timeseries.admission import FURTHEST_MS, admit
from tocsin.timeseries.frames import Frame, read_frames
from tocsin.timeseries.group import Group
from tocsin.timeseries.head import Head
from tocsin.timeseries.left_out import LeftOut
from tocsin.timeseries.postings import NO_SERIES, SeriesIds
from tocsin.timeseries.records import BadRecord, Bits, Packer, RecordType, Refs
from tocsin.timeseries.segments import Segment

_MEANINGLESS = (ValueError, LookupError, struct.error, zstandard.ZstdError, msgspec.MsgspecError)


@dataclass(slots=True)
class _Layout:
    group: Group
    columns: SeriesIds
    refs: Refs


@dataclass(slots=True)
class _Definitions:
    """What the segment being read has defined so far."""

    series: int = 0
    sids: SeriesIds = field(default_factory=lambda: NO_SERIES)  # by ref, with room to spare
    last: Bits = field(default_factory=lambda: np.empty(0, np.uint64))  # row values by ref
    layouts: dict[int, _Layout] = field(default_factory=dict)


class Recovery:
    """Puts the segments of one tenant into a head, in order. `lost_bytes` counts the rest.

    With `cut` false no file is changed.
    """

    def __init__(
        self,
        tenant: TenantId,
        head: Head,
        metadata: dict[str, Metadata],
        *,
        left_out: LeftOut,
        cut: bool = True,
    ) -> None:
        self.lost_bytes = 0
        self._left_out = left_out
        self._cut = cut
        self._tenant = tenant
        self._head = head
        self._metadata = metadata
        self._packer = Packer()
        self._strings: dict[str, str] = {}
        self._defined = _Definitions()
        self._apply: Mapping[int, Callable[[memoryview, Segment], None]] = {
            RecordType.SERIES: self._series,
            RecordType.LAYOUT: self._layout,
            RecordType.ROW: self._row,
            RecordType.SAMPLES: self._samples,
            RecordType.CHANGES: self._changes,
            RecordType.METADATA: self._describe,
        }

    def read(self, segment: Segment) -> bool:
        """Read one segment and cut off its torn end; tell whether any of it was understood."""
        self._defined = _Definitions()
        self._left_out.begin(segment.index)
        end, torn = 0, True
        for frame in read_frames(memoryview(segment.path.read_bytes())):
            torn = self._understood(frame, segment, first=end == 0)
            if not torn:
                break
            end = frame.end
        self.lost_bytes += segment.size - end
        if self._cut and torn and (end < segment.size or not end):
            _cut(segment, end)
        return end > 0

    def _understood(self, frame: Frame, segment: Segment, *, first: bool) -> bool:
        try:
            if first:
                _check_first(frame, self._tenant)
            else:
                self._apply[frame.type](frame.payload, segment)
        except _MEANINGLESS:
            return False
        return True

    def _series(self, payload: memoryview, _: Segment) -> None:
        found = records.read_series(payload, self._packer, self._strings)
        defined, first = self._defined, self._defined.series
        defined.series += len(found)
        defined.sids = _roomy(defined.sids, defined.series)
        for ref, labels in enumerate(found, first):
            sid = self._head.catalog.add(labels)
            self._left_out.define(sid, labels)
            defined.sids[ref] = sid
        defined.last = records.roomy(defined.last, defined.series)

    def _layout(self, payload: memoryview, _: Segment) -> None:
        ref, name, refs = records.read_layout(payload, self._packer)
        columns = self._known(refs)
        group = self._head.group(name)
        self._defined.layouts[ref] = _Layout(group, columns, refs)

    def _row(self, payload: memoryview, segment: Segment) -> None:
        ref, ts_ms, change = records.read_row(payload, self._packer)
        layout = self._defined.layouts[ref]
        bits = change ^ self._defined.last[layout.refs]
        self._defined.last[layout.refs] = bits
        segment.saw(ts_ms)
        if self._left_out.whole(ts_ms):
            return
        values: Values = bits.view(np.float64)
        if layout.group.columns is not layout.columns:
            self._head.set_columns(layout.group, layout.columns)
            layout.columns = layout.group.columns
        if self._head.fits(layout.group, ts_ms) and not self._left_out.choosy:
            self._head.add_row(layout.group, ts_ms, values)
        else:
            self._admit(layout.columns, np.full(len(values), ts_ms, np.int64), values)

    def _samples(self, payload: memoryview, segment: Segment) -> None:
        refs, times, bits = records.read_samples(payload, self._packer)
        self._admit(self._known(refs), times, bits.view(np.float64))
        segment.saw(int(times.max()))

    def _changes(self, payload: memoryview, segment: Segment) -> None:
        refs, times, change = records.read_changes(payload, self._packer)
        bits = change ^ self._defined.last[refs]
        self._defined.last[refs] = bits
        self._admit(self._known(refs), times, bits.view(np.float64))
        segment.saw(int(times.max()))

    def _describe(self, payload: memoryview, _: Segment) -> None:
        self._metadata.update(records.read_metadata(payload))

    def _admit(self, sids: SeriesIds, times: Times, values: Values) -> None:
        kept = self._left_out.kept(sids, times)
        if kept is not None:
            sids, times, values = sids[kept], times[kept], values[kept]
        found = admit(self._head, sids, times, values, window_ms=2 * FURTHEST_MS)
        if len(found.sids):
            self._head.add_batch(self._head.arrange(found.sids, found.times, found.values))

    def _known(self, refs: Refs) -> SeriesIds:
        sids: SeriesIds = self._defined.sids[refs]
        if sids.min(initial=0) < 0:
            raise BadRecord("samples of a series that was not defined")
        return sids


def _roomy(sids: SeriesIds, size: int) -> SeriesIds:
    """Return `sids` with room for at least `size`; -1 where there is none yet."""
    missing = size - len(sids)
    if missing <= 0:
        return sids
    return np.concatenate((sids, np.full(max(missing, len(sids) // 2), -1, np.int32)))


def _check_first(frame: Frame, tenant: TenantId) -> None:
    if frame.type != RecordType.HEADER:
        raise BadRecord("a segment begins with its header")
    records.check_header(frame.payload, tenant)


def _cut(segment: Segment, end: int) -> None:
    if end == 0:
        segment.path.unlink()
        return
    os.truncate(segment.path, end)
    segment.size = end
