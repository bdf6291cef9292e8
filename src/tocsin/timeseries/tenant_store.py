"""One tenant's metrics: the head in memory and the log that keeps it over a restart.

The order of every append is decide, log, remember. When the log cannot be written, NotDurable
is raised and memory is as before, so that what can be read is never more than what a restart
would bring back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import Matcher, matcher
from tocsin.model.ring import Ring
from tocsin.model.sample import Metadata, Sample
from tocsin.model.series import Appended, Layout, Series, Times, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries.admission import FURTHEST_MS, Admission, follow, same_bits
from tocsin.timeseries.group import Binding, Group
from tocsin.timeseries.head import Head
from tocsin.timeseries.options import Limits, Options, Refusal, milliseconds
from tocsin.timeseries.postings import NO_SERIES, SeriesIds
from tocsin.timeseries.recovery import Recovery
from tocsin.timeseries.ring_sources import clocks
from tocsin.timeseries.segments import list_segments, make_directory
from tocsin.timeseries.wal import Wal

Columns: TypeAlias = tuple[SeriesIds, Times, Values]


@dataclass(frozen=True, slots=True)
class TenantStats:
    """What one tenant's store holds; the numbers behind its own metrics.

    `newest_ms` is the newest sample time, None without samples. `lost_bytes` is what recovery
    found torn or unreadable at the last start.
    """

    series: int = 0
    samples: int = 0
    newest_ms: int | None = None
    wal_bytes: int = 0
    wal_segments: int = 0
    lost_bytes: int = 0


class TenantStore:
    """The metrics of one tenant. One thread, but for `sync`."""

    def __init__(self, tenant: TenantId, directory: Path, options: Options) -> None:
        """Open the store in `directory` and read its log back."""
        self._options = options
        self._limits = options.limits
        self._window_ms = milliseconds(options.out_of_order_window)
        self._metadata: dict[str, Metadata] = {}
        self._head = Head(
            chunk_slots=options.chunk_slots,
            hot_ms=milliseconds(options.hot),
            ring_bytes=options.ring_bytes,
        )
        self._wal = Wal(
            tenant,
            directory / "wal",
            options,
            labels_of=self._head.catalog.labels,
            metadata=self._metadata,
        )
        self._lost_bytes = self._recover(tenant, directory / "wal")

    def set_limits(self, limits: Limits) -> None:
        """Judge later samples by other limits."""
        self._limits = limits
        self._head.unbind()

    def append(self, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Store one value for each series of a layout. Raises InvalidInput, NotDurable."""
        given = np.ascontiguousarray(values, np.float64)
        if given.shape != (len(layout.labels),):
            raise InvalidInput(
                f"group {layout.group!r} has {len(layout.labels)} series, got {given.shape} values"
            )
        if abs(ts_ms) > FURTHEST_MS:
            return Appended(0, {Refusal.OUT_OF_BOUNDS: len(given)} if len(given) else {})
        group, binding = self._head.bind(layout, self._limits)
        if self._head.fits(group, ts_ms):
            return self._append_row(group, binding, ts_ms=ts_ms, given=given)
        return self._append_singly(group, binding, ts_ms=ts_ms, given=given)

    def append_samples(self, samples: Sequence[Sample]) -> Appended:
        """Store samples with times of their own. Raises NotDurable."""
        batch = Admission(self._head, window_ms=self._window_ms)
        for sample in samples:
            sid = self._head.enter(sample.labels, self._limits)
            if isinstance(sid, Refusal):
                batch.refuse(sid)
            else:
                batch.offer(sid, sample.ts_ms, sample.value)
        return self._store(batch)

    def append_series(self, series: Sequence[Series], *, window_ms: int) -> Appended:
        """Store samples with times of their own, series by series. Raises NotDurable."""
        entered: dict[int, Series] = {}
        batch = Admission(self._head, window_ms=window_ms)
        apart = []  # what follows another piece of the same series
        for each in series:
            sid = self._head.enter(each.labels, self._limits)
            if isinstance(sid, Refusal):
                batch.refuse(sid, len(each.times))
            elif sid in entered:
                apart.append((sid, each))
            else:
                entered[sid] = each
        newer = _flat(entered)
        if apart or not follow(self._head, *newer[:2]):
            for sid, each in (*entered.items(), *apart):
                batch.offer_all(sid, each)
            return self._store(batch)
        return self._store_newer(batch, newer)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Series]:
        """Return the samples with start <= t <= end of the series selected, in label order."""
        return self._head.select(matchers, start_ms, end_ms)

    def ring(self, metric: str, depth_ms: int) -> Ring | None:
        """Return the ring of a metric, None when there is no memory for it."""
        head, rings = self._head, self._head.rings
        found = rings.find(metric, depth_ms)
        if found is not None or rings.refused(metric, depth_ms):
            return found
        deepest = max(depth_ms, rings.depth(metric))
        sids = head.catalog.matching([matcher(METRIC_NAME, "=", metric)])
        return rings.build(metric, sids, clocks(head, sids, deepest), depth_ms=deepest)

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """Return the series selected that have samples in range, in label order."""
        catalog = self._head.catalog
        found = np.flatnonzero(self._head.present(matchers, start_ms, end_ms))
        return [catalog.labels(sid) for sid in catalog.ordered(found.astype(np.int32)).tolist()]

    def label_names(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterator[str]:
        """Yield the label names of the series selected that have samples in range."""
        present = self._head.present(matchers, start_ms, end_ms)
        postings = self._head.catalog.postings
        for name in postings.names():
            if any(present[sids].any() for _, sids in postings.values(name)):
                yield name

    def label_values(
        self, name: str, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> Iterator[str]:
        """Yield the values of a label on the series selected that have samples in range."""
        present = self._head.present(matchers, start_ms, end_ms)
        for value, sids in self._head.catalog.postings.values(name):
            if present[sids].any():
                yield value

    def metadata(self) -> dict[str, Metadata]:
        """Return what is known of each metric."""
        return dict(self._metadata)

    def set_metadata(self, metric: str, metadata: Metadata) -> None:
        """Remember type, help and unit of a metric family; texts are cut to the value limit.

        Beyond the limit of entries new metrics are not remembered. Raises NotDurable.
        """
        fitting = _fitting(metadata, self._limits.label_value_bytes)
        known = self._metadata.get(metric)
        full = len(self._metadata) >= self._limits.metadata_entries
        if known == fitting or (known is None and full) or not _is_utf8(metric):
            return
        self._wal.log_metadata(metric, fitting)
        self._metadata[metric] = fitting

    def stats(self) -> TenantStats:
        """Return the numbers of the store. O(segments)."""
        return TenantStats(
            series=len(self._head.catalog),
            samples=self._head.samples,
            newest_ms=self._head.newest_ms,
            wal_bytes=self._wal.size,
            wal_segments=self._wal.segments,
            lost_bytes=self._lost_bytes,
        )

    def expire(self, now_ms: int) -> None:
        """Forget what is older than the retention, in memory and on disk. O(series)."""
        horizon_ms = now_ms - milliseconds(self._options.retention)
        self._wal.forget(self._head.expire(horizon_ms))
        self._wal.expire(horizon_ms)
        self._head.rings.age()

    def sync(self) -> None:
        """Force the log to disk; any thread. Raises NotDurable."""
        self._wal.sync()

    def close(self) -> None:
        """Sync and close the log. Raises NotDurable."""
        self._wal.close()

    def _recover(self, tenant: TenantId, directory: Path) -> int:
        make_directory(directory)
        recovery = Recovery(tenant, self._head, self._metadata)
        segments = list_segments(directory)
        kept = [segment for segment in segments if recovery.read(segment)]
        self._wal.adopt(kept, next_index=segments[-1].index + 1 if segments else 0)
        self._head.remove_empty()
        return recovery.lost_bytes

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

    def _append_singly(
        self, group: Group, binding: Binding, *, ts_ms: int, given: Values
    ) -> Appended:
        batch = Admission(self._head, window_ms=self._window_ms)
        row = given if binding.kept is None else given[binding.kept]
        for sid, value in zip(group.columns.tolist(), row.tolist(), strict=True):
            batch.offer(sid, ts_ms, value)
        for at, column in binding.repeats:
            batch.offer(int(group.columns[column]), ts_ms, float(given[at]))
        for refusal, count in binding.refused.items():
            batch.refuse(refusal, count)
        return self._store(batch)

    def _store_newer(self, batch: Admission, samples: Columns) -> Appended:
        """Store samples of which each is known to be newer than those of its series."""
        if len(samples[0]):
            self._wal.log_samples(*samples)
            self._head.add_samples(*samples)
        return Appended(len(samples[0]), batch.refused)

    def _store(self, batch: Admission) -> Appended:
        sids, times, values = batch.accepted()
        if len(sids):
            self._wal.log_samples(sids, times, values)
            self._head.add_samples(sids, times, values)
        return batch.outcome()


def _flat(series: Mapping[int, Series]) -> Columns:
    """Return the samples of all series one behind the other: ids, times, values."""
    if not series:
        return NO_SERIES, np.empty(0, np.int64), np.empty(0, np.float64)
    ids = np.fromiter(series, np.int32, len(series))
    counts = [len(each.times) for each in series.values()]
    times = np.concatenate([each.times for each in series.values()])
    values = np.concatenate([each.values for each in series.values()])
    return np.repeat(ids, counts), times, values


def _fitting(metadata: Metadata, limit: int) -> Metadata:
    texts = (metadata.type, metadata.help, metadata.unit)
    return Metadata(
        *(text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore") for text in texts)
    )


def _is_utf8(text: str) -> bool:
    return text.isascii() or text.encode("utf-8", "replace").decode() == text
