"""Taking samples in: decide, log, remember, in this order.

When the log cannot be written, NotDurable is raised and memory is as before, so that what can
be read is never more than what a restart would bring back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.ring import ABSENT_BITS
from tocsin.model.sample import NORMAL_NAN_BITS, Sample
from tocsin.model.series import Appended, Columns, Layout, Resolved, Series, Times, Values
from tocsin.timeseries.admission import FURTHEST_MS, admit, same_bits
from tocsin.timeseries.group import Binding, Group
from tocsin.timeseries.head import Head
from tocsin.timeseries.options import Limits, Refusal
from tocsin.timeseries.postings import SeriesIds
from tocsin.timeseries.wal import Wal


class Intake:
    """The way into one tenant's head and log. One thread."""

    def __init__(self, head: Head, wal: Wal, limits: Limits) -> None:
        self._head = head
        self._wal = wal
        self._limits = limits

    def set_limits(self, limits: Limits) -> None:
        """Judge later samples by other limits."""
        self._limits = limits
        self._head.unbind()

    def append(self, layout: Layout, ts_ms: int, values: Values, *, window_ms: int) -> Appended:
        """Store one value for each series of a layout. Raises InvalidInput, NotDurable."""
        given = np.ascontiguousarray(values, np.float64)
        if given.shape != (len(layout.labels),):
            raise InvalidInput(
                f"group {layout.group!r} has {len(layout.labels)} series, got {given.shape} values"
            )
        given = _storable(given)
        if abs(ts_ms) > FURTHEST_MS:
            return Appended(0, {Refusal.OUT_OF_BOUNDS: len(given)} if len(given) else {})
        group, binding = self._head.bind(layout, self._limits)
        if self._head.fits(group, ts_ms):
            return self._append_row(group, binding, ts_ms=ts_ms, given=given)
        return self._append_part(group, binding, ts_ms=ts_ms, given=given, window_ms=window_ms)

    def append_samples(self, samples: Sequence[Sample], *, window_ms: int) -> Appended:
        """Store samples with times of their own. Raises NotDurable."""
        refs, refused = self._enter([sample.labels for sample in samples])
        times = np.fromiter((sample.ts_ms for sample in samples), np.int64, len(samples))
        values = np.fromiter((sample.value for sample in samples), np.float64, len(samples))
        counts = _counted(refused)
        return self._append_known(refs, times, values, counts, window_ms=window_ms)

    def append_series(self, series: Sequence[Series], *, window_ms: int) -> Appended:
        """Store samples with times of their own, series by series. Raises NotDurable."""
        if not series:
            return Appended(0)
        refs, refused = self._enter([each.labels for each in series])
        sizes = [len(each.times) for each in series]
        times = np.concatenate([each.times for each in series])
        values = np.concatenate([each.values for each in series])
        counts = _counted(refused, sizes)
        refs = np.repeat(refs, sizes)
        return self._append_known(refs, times, values, counts, window_ms=window_ms)

    def append_columns(self, columns: Columns, *, window_ms: int) -> Appended:
        """Store samples of resolved series. Raises InvalidInput, NotDurable."""
        refs, times = np.asarray(columns.refs, np.int32), np.asarray(columns.times, np.int64)
        values = np.asarray(columns.values, np.float64)
        if not refs.shape == times.shape == values.shape == (len(refs),):
            raise InvalidInput(f"{len(refs)} refs, {len(times)} times and {len(values)} values")
        return self._store(refs, times, values, {}, window_ms=window_ms)

    def resolve(self, labels: Sequence[Labels]) -> Resolved:
        """Return the ids of series, entering new ones if the limits allow it."""
        refs, refused = self._enter(labels)
        return Resolved(self._head.epoch, refs, _counted(refused))

    def _enter(self, labels: Sequence[Labels]) -> tuple[SeriesIds, list[tuple[int, Refusal]]]:
        """Return the ids of series, -1 for those refused; and which are, and why."""
        refs = np.full(len(labels), -1, np.int32)
        refused = []
        for at, each in enumerate(labels):
            sid = self._head.enter(each, self._limits)
            if isinstance(sid, Refusal):
                refused.append((at, sid))
            else:
                refs[at] = sid
        return refs, refused

    def _append_known(
        self,
        refs: SeriesIds,
        times: Times,
        values: Values,
        refused: dict[str, int],
        *,
        window_ms: int,
    ) -> Appended:
        """Store what is of series that were not refused."""
        if refused:
            known = refs >= 0
            refs, times, values = refs[known], times[known], values[known]
        return self._store(refs, times, values, refused, window_ms=window_ms)

    def _append_row(self, group: Group, binding: Binding, *, ts_ms: int, given: Values) -> Appended:
        row = given if binding.kept is None else given[binding.kept]
        if len(row):
            self._wal.log_row(group.name, group.columns, ts_ms, row)
            self._head.add_row(group, ts_ms, row)
        refused = dict(binding.refused)
        same = sum(same_bits(given[at], row[column]) for at, column in binding.repeats)
        if same < len(binding.repeats):
            refused[Refusal.DUPLICATE] = len(binding.repeats) - same
        return Appended(len(row) + same, refused)

    def _append_part(
        self, group: Group, binding: Binding, *, ts_ms: int, given: Values, window_ms: int
    ) -> Appended:
        """Store what may enter of a row that may not as a whole."""
        kept = np.arange(len(given)) if binding.kept is None else binding.kept
        again = np.asarray(binding.repeats, np.int64).reshape(-1, 2)
        sids = np.concatenate((group.columns, group.columns[again[:, 1]]))
        values = given[np.concatenate((kept, again[:, 0]))]
        found = admit(self._head, sids, np.full(len(sids), ts_ms), values, window_ms=window_ms)
        if len(found.sids):
            self._wal.log_samples(found.sids, found.times, found.values)
            self._head.add_part(group, ts_ms, found.sids, found.values)
        return found.outcome(binding.refused)

    def _store(
        self,
        sids: SeriesIds,
        times: Times,
        values: Values,
        refused: dict[str, int],
        *,
        window_ms: int,
    ) -> Appended:
        found = admit(self._head, sids, times, _storable(values), window_ms=window_ms)
        if len(found.sids):
            batch = self._head.arrange(found.sids, found.times, found.values)
            self._wal.log_samples(batch.sids, batch.times, batch.values)
            self._head.add_batch(batch)
        return found.outcome(refused)


def _counted(refused: Sequence[tuple[int, Refusal]], sizes: Sequence[int] = ()) -> dict[str, int]:
    """Count refusals by reason: one for each, or as many as `sizes` says."""
    counts: dict[str, int] = {}
    for at, refusal in refused:
        counts[refusal] = counts.get(refusal, 0) + (sizes[at] if sizes else 1)
    return counts


def _storable(values: Values) -> Values:
    """Return the values; a NaN that would mean "no sample" becomes the normal one."""
    hidden = values.view(np.uint64) == ABSENT_BITS
    if not np.count_nonzero(hidden):
        return values
    kept = values.copy()
    kept.view(np.uint64)[hidden] = NORMAL_NAN_BITS
    return kept
