"""The rings of one tenant: which metrics have one, and which series stand where in them.

A ring is derived: it is built from the head when somebody asks for it, then takes every sample
as it comes, and is dropped when nobody has asked for a while. Until then the same object comes
back. Groups keep what passes their rows on (`ring_feed`); it is worked out anew when their
columns or the rings change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from tocsin.model.labels import METRIC_NAME
from tocsin.model.ring import Places, Ring
from tocsin.model.series import Times, Values
from tocsin.timeseries.catalog import Catalog
from tocsin.timeseries.live_ring import Budget, LiveRing
from tocsin.timeseries.postings import SeriesIds
from tocsin.timeseries.ring_build import Clock, Plan, build
from tocsin.timeseries.ring_feed import Feed, feeds

IDLE_ROUNDS = 3  # calls of `age` after which a ring nobody asked for is dropped

_UNKNOWN, _NO_RING = -2, -1


class Rings:
    """Every ring of a tenant, by metric. Not thread-safe."""

    def __init__(self, catalog: Catalog, *, limit: int, changed: Callable[[], None]) -> None:
        """Take at most `limit` bytes; call `changed` when feeds have to be worked out anew."""
        self._catalog = catalog
        self._budget = Budget(limit)
        self._changed = changed
        self._by_metric: dict[str, int] = {}
        self._live: list[LiveRing | None] = []
        self._refused: dict[str, int] = {}  # depth for which there was no memory
        self._ring_of: Places = np.empty(0, np.int32)  # by series id
        self._column_of: Places = np.empty(0, np.int32)

    @property
    def size(self) -> int:
        """Return the bytes that rings take."""
        return self._budget.spent

    # -- asking ------------------------------------------------------------------------------

    def find(self, metric: str, depth_ms: int) -> Ring | None:
        """Return the ring of a metric if it is in order and reaches back that far."""
        live = self._of(metric)
        if live is None or live.broken or live.depth_ms < depth_ms:
            return None
        live.idle = 0
        return live.ring

    def refused(self, metric: str, depth_ms: int) -> bool:
        """Tell whether there was no room for such a ring the last time."""
        known = self._refused.get(metric)
        return known is not None and known <= depth_ms

    def refuse(self, metric: str, depth_ms: int) -> None:
        """Note that there is no such ring to be had until the next call of `age`."""
        self._refused[metric] = depth_ms

    def depth(self, metric: str) -> int:
        """Return how far back the ring of a metric reaches, in ms; 0 without one."""
        live = self._of(metric)
        return 0 if live is None else live.depth_ms

    def build(
        self, metric: str, sids: SeriesIds, clocks: Iterable[Clock], *, depth_ms: int
    ) -> Ring | None:
        """Return the ring of a metric whose series are `sids`; None when memory is spent."""
        plan = Plan.of(clocks)
        live = self._of(metric) or LiveRing(metric, self._budget)
        if not live.reserve(plan.size):
            self._refused[metric] = depth_ms
            if live.broken:
                self._drop(metric)
            return None
        self._place(self._number(live), sids, plan.series())
        labels = [self._catalog.labels(sid) for sid in plan.series().tolist()]
        live.replace(build(plan, labels, self._column_of), depth_ms=depth_ms)
        live.idle = 0
        self._changed()
        return live.ring

    # -- samples -----------------------------------------------------------------------------

    def feeds(self, group: int, columns: SeriesIds) -> tuple[Feed, ...]:
        """Return what passes rows of a group on, whose samples are of the series `columns`."""
        if not self._by_metric:
            return ()
        numbers = self._numbers(columns, np.full(len(columns), group, np.int32))
        found: list[Feed] = []
        for number, live in self._among(numbers):
            source = np.flatnonzero(numbers == number).astype(np.int32)
            found += feeds(live, group, source, self._column_of[columns[source]])
        return tuple(found)

    def feed(self, sids: SeriesIds, times: Times, values: Values, homes: SeriesIds) -> None:
        """Take samples in any order; `homes` says in which group each lies, or OWN."""
        if not self._by_metric:
            return
        numbers = self._numbers(sids, homes)
        for number, live in self._among(numbers):
            here = np.flatnonzero(numbers == number)
            columns = self._column_of[sids[here]]
            live.put(columns, times[here], values[here], homes[here])

    # -- forgetting --------------------------------------------------------------------------

    def remove(self, sids: Sequence[int]) -> None:
        """Note that series are gone and their ids free."""
        self._fit()
        for sid in sids:
            number = self._ring_of.item(sid)
            live = self._live[number] if number >= 0 else None
            if live is not None:
                live.bury(self._column_of.item(sid))
        self._ring_of[list(sids)] = _UNKNOWN

    def disown(self, group: int) -> None:
        """Note that a group is gone and its index free."""
        for live in self._live:
            if live is not None:
                live.disown(group)

    def spoil(self) -> None:
        """Build every ring anew when it is next asked for: what it was built from changed."""
        for live in self._live:
            if live is not None:
                live.broken = True

    def age(self) -> None:
        """Drop the rings that nobody asked for since `IDLE_ROUNDS` calls of this."""
        self._refused.clear()
        for live in self._live:
            if live is None:
                continue
            live.idle += 1
            if live.idle > IDLE_ROUNDS:
                self._drop(live.metric)

    def _of(self, metric: str) -> LiveRing | None:
        number = self._by_metric.get(metric)
        return None if number is None else self._live[number]

    def _number(self, live: LiveRing) -> int:
        number = self._by_metric.get(live.metric)
        if number is not None:
            return number
        number = self._live.index(None) if None in self._live else len(self._live)
        self._live[number : number + 1] = [live]
        self._by_metric[live.metric] = number
        return number

    def _place(self, number: int, sids: SeriesIds, columns: SeriesIds) -> None:
        """Note the series of a ring, and which of them have a column."""
        self._fit()
        if len(self._by_metric) == 1:
            self._ring_of[self._catalog.in_use] = _NO_RING
        self._ring_of[sids] = _UNKNOWN
        self._ring_of[columns] = number
        self._column_of[columns] = np.arange(len(columns), dtype=np.int32)

    def _drop(self, metric: str) -> None:
        number = self._by_metric.pop(metric, None)
        live = None if number is None else self._live[number]
        if number is None or live is None:
            return
        live.release()
        self._live[number] = None
        self._ring_of[self._ring_of == number] = _NO_RING
        self._changed()

    def _among(self, numbers: Places) -> Iterator[tuple[int, LiveRing]]:
        """Yield the rings that stand among `numbers` and are in order."""
        for number in np.flatnonzero(np.bincount(numbers + 1)[1:]).tolist():
            live = self._live[number]
            if live is not None and not live.broken:
                yield number, live

    def _numbers(self, sids: SeriesIds, homes: SeriesIds) -> Places:
        """Return the number of the ring of each series, `_NO_RING` for none."""
        self._fit()
        numbers = self._ring_of[sids]
        unknown = numbers == _UNKNOWN
        if unknown.any():
            for sid, home in zip(sids[unknown].tolist(), homes[unknown].tolist(), strict=True):
                self._enter(sid, home)
            numbers = self._ring_of[sids]
        return numbers

    def _enter(self, sid: int, home: int) -> None:
        """Give a series that is new to us a column of its ring, if its metric has one."""
        if self._ring_of[sid] != _UNKNOWN:
            return
        self._ring_of[sid] = _NO_RING
        labels = self._catalog.labels(sid)
        number = self._by_metric.get(labels.value(METRIC_NAME))
        live = None if number is None else self._live[number]
        column = -1 if live is None else live.add_column(labels, home)
        if number is not None and column >= 0:
            self._ring_of[sid] = number
            self._column_of[sid] = column

    def _fit(self) -> None:
        missing = self._catalog.size - len(self._ring_of)
        if missing > 0:
            more = np.full(missing, _UNKNOWN, np.int32)
            self._ring_of = np.concatenate((self._ring_of, more))
            self._column_of = np.concatenate((self._column_of, more))
