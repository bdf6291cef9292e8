"""One tenant's metrics: the head in memory, the log that keeps it over a restart, the blocks.

The order of every append is decide, log, remember. When the log cannot be written, NotDurable
is raised and memory is as before, so that what can be read is never more than what a restart
would bring back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from tocsin.model.errors import NotDurable
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import Matcher, matcher
from tocsin.model.ring import Ring
from tocsin.model.sample import Metadata, Sample
from tocsin.model.series import Appended, Columns, Layout, Resolved, Series, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries.admission import FURTHEST_MS
from tocsin.timeseries.block import Fault, IndexCache
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.head import Head
from tocsin.timeseries.intake import Intake
from tocsin.timeseries.left_out import LeftOut
from tocsin.timeseries.look import Look
from tocsin.timeseries.options import Keeping, Limits, Options, milliseconds
from tocsin.timeseries.postings import Mask
from tocsin.timeseries.recovery import Recovery
from tocsin.timeseries.ring_history import clocks_of
from tocsin.timeseries.ring_sources import clocks
from tocsin.timeseries.sealed_samples import SealedSamples
from tocsin.timeseries.segments import list_segments, make_directory
from tocsin.timeseries.tombstones import NAME, Tombstone, Tombstones, cut
from tocsin.timeseries.upkeep import Upkeep
from tocsin.timeseries.wal import Wal
from tocsin.timeseries.work import Workshop

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class TenantStats:
    """What one tenant's store holds; the numbers behind its own metrics.

    `series` and `samples` are those in memory. `newest_ms` is the newest sample time, None
    without samples. `lost_bytes` is what recovery found torn or unreadable at the last start.
    `faults` are the places at which something was found damaged in blocks since then.
    """

    series: int = 0
    samples: int = 0
    newest_ms: int | None = None
    wal_bytes: int = 0
    wal_segments: int = 0
    lost_bytes: int = 0
    blocks: int = 0
    block_bytes: int = 0
    block_samples: int = 0
    tombstones: int = 0
    faults: tuple[Fault, ...] = ()


class TenantStore:
    """The metrics of one tenant. One thread, but for `sync`."""

    def __init__(
        self,
        tenant: TenantId,
        directory: Path,
        options: Options,
        *,
        cache: IndexCache,
        workshop: Workshop,
    ) -> None:
        """Open the store in `directory`, its blocks, and read its log back.

        Raises StoreUnusable, OSError.
        """
        self._options = options
        self._keeping: Keeping | None = None
        self._limits = options.limits
        self._metadata: dict[str, Metadata] = {}
        self._head = Head(chunk_slots=options.chunk_slots, ring_bytes=options.ring_bytes)
        self._wal = Wal(
            tenant,
            directory / "wal",
            options,
            labels_of=self._head.catalog.labels,
            metadata=self._metadata,
        )
        self._intake = Intake(self._head, self._wal, options.limits)
        self._blocks = Blocks(tenant, directory / "blocks", cache)
        self._tombstones = Tombstones(directory / NAME)
        self._lost_bytes = self._recover(tenant, directory / "wal")
        self._head.sealed = SealedSamples(self._blocks, self._tombstones).at
        self.upkeep = Upkeep(
            tenant, options, self._head, self._wal, self._blocks, self._tombstones, workshop
        )

    def set_keeping(self, keeping: Keeping) -> None:
        """Keep samples by other rules than those of the options."""
        self._keeping = keeping
        self.upkeep.options = replace(
            self._options, retention=keeping.retention, retention_size=keeping.retention_size
        )

    def set_limits(self, limits: Limits) -> None:
        """Judge later samples by other limits."""
        self._limits = limits
        self._intake.set_limits(limits)

    def append(self, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Store one value for each series of a layout. Raises InvalidInput, NotDurable."""
        return self._intake.append(layout, ts_ms, values, window_ms=self._window_ms())

    def append_samples(self, samples: Sequence[Sample]) -> Appended:
        """Store samples with times of their own. Raises NotDurable."""
        return self._intake.append_samples(samples, window_ms=self._window_ms())

    def append_series(self, series: Sequence[Series], *, window_ms: int | None) -> Appended:
        """Store samples with times of their own, series by series. Raises NotDurable.

        `window_ms` is the out-of-order window of their source, None for that of the options;
        one that was set for the tenant comes before both.
        """
        return self._intake.append_series(series, window_ms=self._window_ms(window_ms))

    def resolve(self, labels: Sequence[Labels]) -> Resolved:
        """Return the numbers of series, entering new ones if the limits allow it."""
        return self._intake.resolve(labels)

    def append_refs(
        self, epoch: int, columns: Columns, *, window_ms: int | None
    ) -> Appended | None:
        """Store samples of resolved series, None when these numbers hold no more.

        Raises InvalidInput, NotDurable. `window_ms` as for `append_series`.
        """
        if epoch != self._head.epoch:
            return None
        return self._intake.append_columns(columns, window_ms=self._window_ms(window_ms))

    def select(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int
    ) -> Callable[[], list[Series]]:
        """Return what returns the samples with start <= t <= end of the series selected.

        What is returned may be called in any thread; the same holds for the other questions.
        Series come in label order. Raises StoreUnusable.
        """
        head = self._head.select(matchers, start_ms, end_ms)
        hidden = self._tombstones.of_head()
        head = cut(head, hidden) if hidden else head
        look = self._look(start_ms, end_ms)
        return partial(look.select, matchers, head) if look else partial(_given, head)

    def ring(self, metric: str, depth_ms: int) -> Ring | None:
        """Return the ring of a metric, None when there is no room for it.

        Blocks are read when it reaches back to what is sealed. Series that ended since then
        are known to the head again until its next upkeep.
        """
        head, rings = self._head, self._head.rings
        found = rings.find(metric, depth_ms)
        if found is not None or rings.refused(metric, depth_ms):
            return found
        deepest = max(depth_ms, rings.depth(metric))
        named = matcher(METRIC_NAME, "=", metric)
        sids = head.catalog.matching([named])
        newest_ms = int(head.catalog.newest_times[sids].max(initial=-FURTHEST_MS))
        sealed = self._blocks.between(newest_ms - deepest, newest_ms)
        if not sealed and not self._tombstones.of_head():
            return rings.build(metric, sids, clocks(head, sids, deepest), depth_ms=deepest)
        series = self.select([named], newest_ms - deepest, newest_ms)()
        unknown = sum(head.catalog.find(each.labels) is None for each in series)
        if len(head.catalog) + unknown > self._limits.active_series:
            rings.refuse(metric, depth_ms)
            return None
        known = [head.catalog.add(each.labels) for each in series]  # until the next upkeep
        ids = np.asarray(known, np.int32)
        sids = np.union1d(sids, ids)
        return rings.build(metric, sids, clocks_of(head, series, ids), depth_ms=deepest)

    def series(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int
    ) -> Callable[[], list[Labels]]:
        """Return what returns the series selected that have samples in range, in label order."""
        catalog = self._head.catalog
        found = np.flatnonzero(self._present(matchers, start_ms, end_ms))
        head = [catalog.labels(sid) for sid in catalog.ordered(found.astype(np.int32)).tolist()]
        look = self._look(start_ms, end_ms)
        return partial(look.series, matchers, head) if look else partial(_given, head)

    def label_names(
        self, matchers: Sequence[Matcher], start_ms: int, end_ms: int
    ) -> Callable[[], list[str]]:
        """Return what returns the label names of the series `series` means, sorted."""
        present = self._present(matchers, start_ms, end_ms)
        postings = self._head.catalog.postings
        names = postings.names()
        head = [n for n in names if any(present[ids].any() for _, ids in postings.values(n))]
        look = self._look(start_ms, end_ms)
        return partial(look.label_names, matchers, head) if look else partial(sorted, head)

    def label_values(
        self, name: str, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> Callable[[], list[str]]:
        """Return what returns the values of a label of the series `series` means, sorted."""
        present = self._present(matchers, start_ms, end_ms)
        values = self._head.catalog.postings.values(name)
        head = [value for value, sids in values if present[sids].any()]
        look = self._look(start_ms, end_ms)
        return partial(look.label_values, name, matchers, head) if look else partial(sorted, head)

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
        """Return the numbers of the store. O(segments + blocks)."""
        newest = [self._head.newest_ms, self._blocks.newest_ms]
        return TenantStats(
            series=len(self._head.catalog),
            samples=self._head.samples,
            newest_ms=max((ms for ms in newest if ms is not None), default=None),
            wal_bytes=self._wal.size,
            wal_segments=self._wal.segments,
            lost_bytes=self._lost_bytes,
            blocks=len(self._blocks),
            block_bytes=self._blocks.size,
            block_samples=sum(block.about.samples for block in self._blocks),
            tombstones=len(self._tombstones),
            faults=tuple(self._blocks.faults),
        )

    def delete_series(
        self, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int, now_ms: int
    ) -> None:
        """Hide the samples with start <= t <= end of the series selected, for good.

        Raises StoreUnusable when that cannot be made durable.
        """
        oldest_ms, newest_ms = self._head.oldest_ms(), self._head.newest_ms
        in_head = oldest_ms is not None and newest_ms is not None and oldest_ms <= end_ms
        blocks = [block.name.ulid for block in self._blocks if block.overlaps(start_ms, end_ms)]
        tombstone = Tombstone(
            matchers=tuple((each.name, each.op.value, each.value) for each in matchers),
            start_ms=start_ms,
            end_ms=end_ms if newest_ms is None else min(end_ms, max(newest_ms, start_ms)),
            created_ms=now_ms,
            segment=self._wal.mark(),
            blocks=(*blocks, *self._blocks.expected),
            head=in_head,
        )
        try:
            self._tombstones.add(tombstone)
        except OSError as error:
            raise NotDurable(f"the deletion cannot be written: {error}") from error
        self._head.rings.spoil()

    def sync(self) -> None:
        """Force the log to disk; any thread. Raises NotDurable."""
        self._wal.sync()

    def close(self) -> None:
        """Sync and close the log. Raises NotDurable."""
        self._wal.close()

    def _recover(self, tenant: TenantId, directory: Path) -> int:
        make_directory(directory)
        covered = self._blocks.covered()
        left_out = LeftOut(covered, self._tombstones)
        recovery = Recovery(tenant, self._head, self._metadata, left_out=left_out)
        segments = list_segments(directory)
        kept = [segment for segment in segments if recovery.read(segment)]
        last = segments[-1].index if segments else -1
        free = max(self._tombstones.first_free_segment(), *(c.segment for c in covered), last + 1)
        self._wal.adopt(kept, next_index=free)
        self._tombstones.recovered()
        self._head.remove_empty()
        return recovery.lost_bytes

    def _window_ms(self, of_source_ms: int | None = None) -> int:
        own = self._keeping.out_of_order_window if self._keeping else None
        if own is None and of_source_ms is not None:
            return of_source_ms
        return milliseconds(self._options.out_of_order_window if own is None else own)

    def _look(self, start_ms: int, end_ms: int) -> Look:
        return Look(self._blocks, self._tombstones, start_ms=start_ms, end_ms=end_ms)

    def _present(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Mask:
        """Mark the series selected that the head has samples of, deleted ones left out."""
        hidden = self._tombstones.of_head()
        if not hidden:
            return self._head.present(matchers, start_ms, end_ms)
        mask = np.zeros(self._head.catalog.size, np.bool_)
        for series in cut(self._head.select(matchers, start_ms, end_ms), hidden):
            mask[self._head.catalog.find(series.labels)] = True
        return mask


def _given(found: Found) -> Found:
    return found


def _fitting(metadata: Metadata, limit: int) -> Metadata:
    texts = (metadata.type, metadata.help, metadata.unit)
    return Metadata(
        *(text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore") for text in texts)
    )


def _is_utf8(text: str) -> bool:
    return text.isascii() or text.encode("utf-8", "replace").decode() == text
