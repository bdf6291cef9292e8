"""The embedded metric store: what the rest of Tocsin sees of `timeseries`.

A `MetricStore` owns one directory and, in it, one directory and one `TenantStore` for each
tenant; nothing is shared between tenants, neither ids nor postings nor files (contract
metrics-engine 2.1). The tenant is the first argument of every method and is checked before it
becomes part of a path. A tenant nobody has written to is empty, and reading does not make it.

Call everything on one thread, the event loop's. Beside it, in any thread, may run: `sync()`,
which somebody calls once a second; the items `upkeep()` and its like give out; and what `later`
gives back, which is the long part of a question. The store starts no thread, reads no clock and
counts nothing by itself: `upkeep()` and `stats()` are for a caller to call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from tocsin.model.errors import InvalidTenant, NotDurable, StoreUnusable
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.ring import Ring
from tocsin.model.sample import Metadata, Sample
from tocsin.model.series import Appended, Columns, Layout, Resolved, Series, Values
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.timeseries.admission import FURTHEST_MS
from tocsin.timeseries.block import IndexCache
from tocsin.timeseries.later import Later
from tocsin.timeseries.live_ring import empty_ring
from tocsin.timeseries.lock import DirectoryLock
from tocsin.timeseries.options import Keeping, Limits, Options, milliseconds
from tocsin.timeseries.retention import too_many
from tocsin.timeseries.segments import make_directory
from tocsin.timeseries.tenant_store import TenantStats, TenantStore
from tocsin.timeseries.work import Work, Workshop

BEGINNING_MS = -FURTHEST_MS
END_MS = FURTHEST_MS


class MetricStore:
    """The metrics of all tenants under one directory."""

    def __init__(self, root: Path, options: Options | None = None) -> None:
        """Lock `root` (made if missing) and read back what every tenant wrote.

        Blocks for as long as the logs take to read. Raises StoreUnusable when another process
        has the directory, or when a file in it cannot be read or cut.
        """
        self._root = root
        self._options = options or Options()
        self._limits: dict[TenantId, Limits] = {}
        self._keeping: dict[TenantId, Keeping] = {}
        self._total_size = self._options.total_size
        self._cache = IndexCache(self._options.index_cache_bytes)
        self._workshop = Workshop()
        self._tenants: dict[TenantId, TenantStore] = {}
        self._no_ring = empty_ring()  # of tenants that have no data yet
        self.later = Later(self._tenants.get)
        self._closed = False
        try:
            make_directory(root)
            self._lock = DirectoryLock(root)
            self._open_all()
        except OSError as error:
            raise StoreUnusable(f"metric directory {root} cannot be opened: {error}") from error

    def tenants(self) -> list[TenantId]:
        """Return the tenants that have data, sorted."""
        return sorted(self._tenants)

    def set_limits(self, tenant: TenantId, limits: Limits) -> None:
        """Judge later samples of one tenant by other limits than those of the options."""
        self._limits[tenant] = limits
        if tenant in self._tenants:
            self._tenants[tenant].set_limits(limits)

    def set_keeping(self, tenant: TenantId, keeping: Keeping) -> None:
        """Keep the samples of one tenant by other rules than those of the options."""
        self._keeping[tenant] = keeping
        if tenant in self._tenants:
            self._tenants[tenant].set_keeping(keeping)

    def set_total_size(self, size: int | None) -> None:
        """Let log and blocks of all tenants together take at most `size` bytes, None: no bound."""
        self._total_size = size

    # -- taking in ---------------------------------------------------------------------------

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Store one value for each series of `layout`, all at `ts_ms`.

        Keep the layout object and pass it again while its series stay the same: it is
        resolved once. A NaN with the staleness bits is a staleness marker, any other NaN a
        sample. `stored` counts samples accepted, silent repeats included; `refused` counts
        the others by `Refusal`. Raises InvalidInput when the lengths differ, NotDurable when
        the log cannot be written; memory is then as before.
        """
        return self._writable(tenant).append(layout, ts_ms, values)

    def append_samples(self, tenant: TenantId, samples: Sequence[Sample]) -> Appended:
        """Store samples that bring their own times; several of one series oldest first.

        Counts and errors as for `append`.
        """
        return self._writable(tenant).append_samples(samples)

    def append_series(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        *,
        out_of_order_window: timedelta | None = None,
    ) -> Appended:
        """Store samples that bring their own times, series by series; a series may come twice.

        `out_of_order_window` stands for that of the options where it is given, unless one was
        set for the tenant. Counts and errors as for `append`.
        """
        window = out_of_order_window
        window_ms = None if window is None else milliseconds(window)
        return self._writable(tenant).append_series(series, window_ms=window_ms)

    def resolve(self, tenant: TenantId, labels: Sequence[Labels]) -> Resolved:
        """Return the numbers of series, entering new ones if the tenant's limits allow it.

        They hold until series are given up for want of samples; `append_refs` tells.
        """
        return self._writable(tenant).resolve(labels)

    def append_refs(
        self,
        tenant: TenantId,
        epoch: int,
        columns: Columns,
        *,
        out_of_order_window: timedelta | None = None,
    ) -> Appended | None:
        """Store samples of resolved series, in any order; of one series oldest first.

        None when the epoch is over and nothing was stored: resolve again. The quickest way
        for many series. Python works once for each time of each target (`job` and `instance`).
        Counts and errors as for `append_series`.
        """
        window = out_of_order_window
        window_ms = None if window is None else milliseconds(window)
        return self._writable(tenant).append_refs(epoch, columns, window_ms=window_ms)

    def set_metadata(self, tenant: TenantId, metric: str, metadata: Metadata) -> None:
        """Remember type, help and unit of a metric family. Raises NotDurable."""
        self._writable(tenant).set_metadata(metric, metadata)

    # -- reading -----------------------------------------------------------------------------

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Series]:
        """Return the samples with start <= t <= end of the series that satisfy every matcher.

        Series without a sample in range are left out; the others come sorted by labels.
        Staleness markers are among the values. Arrays are read-only and stay as they are
        whatever is appended later; several series may share one array of times.
        """
        return self.later.select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)()

    def ring(self, tenant: TenantId, metric: str, *, depth_ms: int) -> Ring | None:
        """Return the newest samples of `metric`, `depth_ms` back from its newest row.

        Ask for each evaluation: that keeps the ring alive, and costs a look-up once it exists.
        The first call reads what is there, O(series of the metric). None when the tenant's
        rings take `Options.ring_bytes` already.
        """
        store = self._tenants.get(tenant)
        return self._no_ring if store is None else store.ring(metric, depth_ms)

    def series(
        self,
        tenant: TenantId,
        matchers: Sequence[Matcher],
        *,
        start_ms: int = BEGINNING_MS,
        end_ms: int = END_MS,
    ) -> list[Labels]:
        """Return the series that satisfy every matcher and have a sample in range, sorted."""
        return self.later.series(tenant, matchers, start_ms=start_ms, end_ms=end_ms)()

    def label_names(
        self,
        tenant: TenantId,
        matchers: Sequence[Matcher] = (),
        *,
        start_ms: int = BEGINNING_MS,
        end_ms: int = END_MS,
    ) -> list[str]:
        """Return the label names of the series `series()` would return, sorted."""
        return self.later.label_names(tenant, matchers, start_ms=start_ms, end_ms=end_ms)()

    def label_values(
        self,
        tenant: TenantId,
        name: str,
        matchers: Sequence[Matcher] = (),
        *,
        start_ms: int = BEGINNING_MS,
        end_ms: int = END_MS,
    ) -> list[str]:
        """Return the values of label `name` on the series `series()` would return, sorted."""
        ask = self.later.label_values
        return ask(tenant, name, matchers, start_ms=start_ms, end_ms=end_ms)()

    def metadata(self, tenant: TenantId) -> dict[str, Metadata]:
        """Return what is known of each metric family."""
        store = self._tenants.get(tenant)
        return {} if store is None else store.metadata()

    def newest(self, tenant: TenantId) -> int | None:
        """Return the time in ms of the newest sample, None when there is none."""
        return self.stats(tenant).newest_ms

    def stats(self, tenant: TenantId) -> TenantStats:
        """Return the numbers of one tenant's store."""
        store = self._tenants.get(tenant)
        return TenantStats() if store is None else store.stats()

    # -- keeping -----------------------------------------------------------------------------

    def upkeep(self, tenant: TenantId, now_ms: int) -> Generator[Work]:
        """Yield what is to be done to seal, merge and delete what is due, item by item.

        Items may run in any thread, one after the other; take the next one on the store's own
        thread. Nothing is yielded while other upkeep of the tenant is under way.
        """
        store = self._tenants.get(tenant)
        if store is not None:
            yield from store.upkeep.run(now_ms)
            yield from self._shrink()

    def expire(self, tenant: TenantId, now_ms: int) -> None:
        """Do at once what `upkeep` does. O(samples to be sealed)."""
        _do(self.upkeep(tenant, now_ms))

    def compacting(self, tenant: TenantId, now_ms: int) -> Generator[Work]:
        """Yield what is to be done to seal and merge what is due, deleting nothing, as `upkeep`.

        Raises LimitExceeded while other upkeep of the tenant is under way.
        """
        store = self._tenants.get(tenant)
        if store is not None:
            yield from store.upkeep.compact(now_ms)

    def delete_series(
        self,
        tenant: TenantId,
        matchers: Sequence[Matcher],
        *,
        start_ms: int = BEGINNING_MS,
        end_ms: int = END_MS,
        now_ms: int,
    ) -> None:
        """Delete the samples with start <= t <= end of the series that satisfy every matcher.

        They are gone from every answer at once, also after a crash, and from disk after at
        most a day of upkeep. Samples that come later are not touched. Raises NotDurable.
        """
        store = self._tenants.get(tenant)
        if store is not None:
            store.delete_series(matchers, start_ms=start_ms, end_ms=end_ms, now_ms=now_ms)

    def cleaning(self, tenant: TenantId, now_ms: int) -> Generator[Work]:
        """Yield what is to be done to take deleted samples out of blocks, as `upkeep` does.

        Raises LimitExceeded while other upkeep of the tenant is under way.
        """
        store = self._tenants.get(tenant)
        if store is not None:
            yield from store.upkeep.clean(now_ms)

    def clean_tombstones(self, tenant: TenantId, now_ms: int) -> None:
        """Do at once what `cleaning` does."""
        _do(self.cleaning(tenant, now_ms))

    def snapshotting(
        self, directory: Path, now_ms: int, *, tenant: TenantId | None = None
    ) -> Generator[Work]:
        """Yield what is to be done for a copy of one tenant's store, or of all, in `directory`.

        Blocks are links, the head becomes blocks. A store can be opened on the copy. Raises
        InvalidInput when there is a copy of the tenant already, LimitExceeded as `cleaning`.
        """
        for each in self.tenants() if tenant is None else [tenant]:
            store = self._tenants.get(each)
            if store is not None:
                yield from store.upkeep.snapshot(directory / each, now_ms)

    def snapshot(self, directory: Path, now_ms: int, *, tenant: TenantId | None = None) -> None:
        """Do at once what `snapshotting` does."""
        _do(self.snapshotting(directory, now_ms, tenant=tenant))

    def sync(self) -> None:
        """Force the logs of all tenants to disk; may run in another thread.

        Raises NotDurable for the first tenant whose log failed, after trying all others.
        """
        _each(list(self._tenants.values()), TenantStore.sync)

    def close(self) -> None:
        """Sync, close all logs and unlock the directory. Idempotent. Raises NotDurable."""
        self._closed = True
        self._workshop.close()
        stores = list(self._tenants.values())
        self._tenants.clear()
        try:
            _each(stores, TenantStore.close)
        finally:
            self._lock.release()

    def _shrink(self) -> Generator[Work]:
        """Delete the oldest blocks of all tenants until everything fits."""
        room = self._total_size
        if room is None:
            return
        stores = {each.upkeep.tenant: each.upkeep for each in self._tenants.values()}
        room -= sum(upkeep.wal.size for upkeep in stores.values())
        blocks = [(block, upkeep) for upkeep in stores.values() for block in upkeep.blocks]
        gone = too_many([block for block, _ in blocks], room)
        for block, upkeep in blocks:
            if block in gone:
                yield from upkeep.drop([block])

    def _open_all(self) -> None:
        try:
            for tenant in tenants_on_disk(self._root):
                self._open(tenant)
        except OSError:
            self._lock.release()
            raise

    def _writable(self, tenant: TenantId) -> TenantStore:
        if self._closed:
            raise NotDurable("the metric store is closed")
        return self._tenants.get(tenant) or self._open(tenant)

    def _open(self, tenant: TenantId) -> TenantStore:
        checked = tenant_id(tenant)  # it becomes a directory
        store = TenantStore(
            checked,
            self._root / checked,
            self._options,
            cache=self._cache,
            workshop=self._workshop,
        )
        if tenant in self._limits:
            store.set_limits(self._limits[tenant])
        if tenant in self._keeping:
            store.set_keeping(self._keeping[tenant])
        self._tenants[checked] = store
        return store


def tenants_on_disk(root: Path) -> list[TenantId]:
    """Return the tenants that have a folder of metrics in `root`, sorted."""
    found = []
    for path in {path.parent for path in (*root.glob("*/wal"), *root.glob("*/blocks"))}:
        try:
            found.append(tenant_id(path.name))
        except InvalidTenant:
            continue  # not ours
    return sorted(found)


def _do(steps: Generator[Work]) -> None:
    with closing(steps):
        for work in steps:
            work.run()


def _each(stores: Sequence[TenantStore], act: Callable[[TenantStore], None]) -> None:
    failures = []
    for store in stores:
        try:
            act(store)
        except NotDurable as error:
            failures.append(error)
    if failures:
        raise failures[0]
