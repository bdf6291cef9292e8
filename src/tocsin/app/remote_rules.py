"""Rules of tenants whose metrics are at a backend: where they are asked, where they write.

Whatever a rule writes is kept in this process' own store as well, so that pending periods go
on after a restart whether or not the backend takes or shows what was written to it.
"""

from __future__ import annotations

from tocsin.metrics_collector.backend.answer import Found
from tocsin.metrics_collector.backend.backends import Backends
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Appended, Layout, Values
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.ports import Answer, Queries, RuleSink
from tocsin.rule_engine.reads import metrics_read
from tocsin.rule_engine.restore import HEARTBEAT

_REMEMBERED = 10_000  # expressions whose last elements are known


class TenantQueries(Queries):
    """Evaluates each rule where its tenant's metrics are: here, or at the tenant's backend.

    A rule that reads what a rule before it has just written waits until the backend was given
    it, as rules of one group see each other's results.
    """

    def __init__(self, here: Queries, backends: Backends) -> None:
        """Ask `here` for tenants without a backend."""
        self._here = here
        self._backends = backends
        self._last: dict[tuple[TenantId, str], tuple[Labels, ...]] = {}

    async def instant(self, tenant: TenantId, expr: str, *, at_ms: int) -> Answer:
        """Return the value of `expr` at `at_ms`."""
        upstream = self._backends.upstream(tenant)
        if upstream is None:
            return await self._here.instant(tenant, expr, at_ms=at_ms)
        forwarder = self._backends.forwarder(tenant)
        if forwarder is not None:
            await forwarder.settled(metrics_read(expr))
        found = await upstream.instant(expr, at_ms=at_ms)
        return self._steadied(tenant, expr, found)

    def _steadied(self, tenant: TenantId, expr: str, found: Found) -> Answer:
        """Return an answer in the order of labels, with the tuple of the last round if equal.

        A backend gives its elements in any order; rules do least where nothing has moved.
        """
        order = sorted(range(len(found.labels)), key=found.labels.__getitem__)
        labels = tuple(found.labels[index] for index in order)
        before = self._last.get((tenant, expr), ())
        if labels == before:
            labels = before
        elif len(self._last) >= _REMEMBERED:
            self._last.clear()
        self._last[tenant, expr] = labels
        return Answer(labels, found.values[order], found.warnings)


class TenantSink(RuleSink):
    """Stores what rules write here, and writes it to the tenant's backend where it has one."""

    def __init__(self, here: RuleSink, backends: Backends) -> None:
        """Store in `here`."""
        self._here = here
        self._backends = backends

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Store one value per series of `layout`.

        Raises NotDurable when it was not stored here, when there is no room to keep it for
        the backend, and when the backend refused what the same rule gave before: it is stored
        here then.
        """
        appended = self._here.append(tenant, layout, ts_ms, values)
        forwarder = self._backends.forwarder(tenant)
        if forwarder is not None and not _is_private(layout):
            self._backends.written(tenant, {each.value(METRIC_NAME) for each in layout.labels})
            forwarder.put(layout, ts_ms, values)
        return appended


def _is_private(layout: Layout) -> bool:
    """Tell the note of when a group was last evaluated: it concerns this process alone."""
    return all(labels.value(METRIC_NAME) == HEARTBEAT for labels in layout.labels)
