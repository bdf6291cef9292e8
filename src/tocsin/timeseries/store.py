"""The embedded metric store: what the rest of Tocsin sees of `timeseries`.

A `MetricStore` owns one directory and, in it, one directory and one `TenantStore` for each
tenant; nothing is shared between tenants, neither ids nor postings nor files (contract
metrics-engine 2.1). The tenant is the first argument of every method and is checked before it
becomes part of a path. A tenant nobody has written to is empty, and reading does not make it.

Call everything on one thread, the event loop's; only `sync()` may run beside it, in a thread
that calls it once a second. The store starts no thread, reads no clock and counts nothing by
itself: `expire()` and `stats()` are for a caller to call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from tocsin.model.errors import InvalidTenant, NotDurable, StoreUnusable
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.ring import Ring
from tocsin.model.sample import Metadata, Sample
from tocsin.model.series import Appended, Layout, Series, Values
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.timeseries.admission import FURTHEST_MS
from tocsin.timeseries.live_ring import empty_ring
from tocsin.timeseries.lock import DirectoryLock
from tocsin.timeseries.options import Limits, Options, milliseconds
from tocsin.timeseries.segments import make_directory
from tocsin.timeseries.tenant_store import TenantStats, TenantStore

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
        self._tenants: dict[TenantId, TenantStore] = {}
        self._no_ring = empty_ring()  # of tenants that have no data yet
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

        `out_of_order_window` stands for that of the options where it is given. Counts and
        errors as for `append`.
        """
        window = self._options.out_of_order_window
        chosen = window if out_of_order_window is None else out_of_order_window
        return self._writable(tenant).append_series(series, window_ms=milliseconds(chosen))

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
        store = self._tenants.get(tenant)
        return [] if store is None else store.select(matchers, start_ms, end_ms)

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
        store = self._tenants.get(tenant)
        return [] if store is None else store.series(matchers, start_ms, end_ms)

    def label_names(
        self,
        tenant: TenantId,
        matchers: Sequence[Matcher] = (),
        *,
        start_ms: int = BEGINNING_MS,
        end_ms: int = END_MS,
    ) -> list[str]:
        """Return the label names of the series `series()` would return, sorted."""
        store = self._tenants.get(tenant)
        return [] if store is None else sorted(store.label_names(matchers, start_ms, end_ms))

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
        store = self._tenants.get(tenant)
        if store is None:
            return []
        return sorted(store.label_values(name, matchers, start_ms=start_ms, end_ms=end_ms))

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

    def expire(self, tenant: TenantId, now_ms: int) -> None:
        """Forget samples older than the retention, and series without samples. O(series).

        Samples go by whole chunks and log segments, so some stay a little longer.
        """
        store = self._tenants.get(tenant)
        if store is not None:
            store.expire(now_ms)

    def sync(self) -> None:
        """Force the logs of all tenants to disk; may run in another thread.

        Raises NotDurable for the first tenant whose log failed, after trying all others.
        """
        _each(list(self._tenants.values()), TenantStore.sync)

    def close(self) -> None:
        """Sync, close all logs and unlock the directory. Idempotent. Raises NotDurable."""
        self._closed = True
        stores = list(self._tenants.values())
        self._tenants.clear()
        try:
            _each(stores, TenantStore.close)
        finally:
            self._lock.release()

    def _open_all(self) -> None:
        try:
            for tenant in _tenants_on_disk(self._root):
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
        store = TenantStore(checked, self._root / checked, self._options)
        if tenant in self._limits:
            store.set_limits(self._limits[tenant])
        self._tenants[checked] = store
        return store


def _tenants_on_disk(root: Path) -> list[TenantId]:
    found = []
    for path in root.glob("*/wal"):
        try:
            found.append(tenant_id(path.parent.name))
        except InvalidTenant:
            continue  # not ours
    return sorted(found)


def _each(stores: Sequence[TenantStore], act: Callable[[TenantStore], None]) -> None:
    failures = []
    for store in stores:
        try:
            act(store)
        except NotDurable as error:
            failures.append(error)
    if failures:
        raise failures[0]
