"""What recovery leaves out of a segment: samples that blocks have already, or that were deleted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Times
from tocsin.timeseries.block_format import Covered
from tocsin.timeseries.postings import Mask, SeriesIds
from tocsin.timeseries.tombstones import Hidden, Tombstones


class LeftOut:
    """What blocks cover and tombstones hide of a log. Tell it the series of each segment."""

    def __init__(self, covered: Sequence[Covered], tombstones: Tombstones) -> None:
        self._covered = covered
        self._tombstones = tombstones
        self._windows: list[tuple[int, int]] = []
        self._hidden: list[tuple[Hidden, set[int]]] = []

    def begin(self, segment: int) -> None:
        """Turn to a segment, of which no series is known yet."""
        self._windows = [(c.start_ms, c.end_ms) for c in self._covered if segment < c.segment]
        self._hidden = [(each, set()) for each in self._tombstones.of_segment(segment)]

    def define(self, sid: int, labels: Labels) -> None:
        """Note a series of the segment."""
        for hidden, sids in self._hidden:
            if hidden.covers(labels):
                sids.add(sid)

    @property
    def choosy(self) -> bool:
        """Tell whether single series of this segment are left out."""
        return any(meant for _, meant in self._hidden)

    def whole(self, ts_ms: int) -> bool:
        """Tell whether everything at a time is left out."""
        return any(start <= ts_ms < end for start, end in self._windows)

    def kept(self, sids: SeriesIds, times: Times) -> Mask | None:
        """Return which samples are brought back, None when all are."""
        gone = np.zeros(len(sids), np.bool_)
        for start, end in self._windows:
            gone |= (times >= start) & (times < end)
        for hidden, meant in self._hidden:
            if meant:
                mine = np.isin(sids, np.fromiter(meant, np.int32, len(meant)))
                gone |= mine & (times >= hidden.start_ms) & (times <= hidden.end_ms)
        return ~gone if gone.any() else None
