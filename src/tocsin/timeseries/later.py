"""Questions to a metric store of which the long part can be left to another thread.

Ask on the store's thread; call what comes back in any one, once. What was written when the
question was asked is in the answer, whatever has been sealed, merged or deleted since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.timeseries.tenant_store import TenantStore

Find: TypeAlias = Callable[[TenantId], TenantStore | None]


class Later:
    """The questions of `MetricStore`; each returns what returns the answer.

    Asking and answering raise StoreUnusable when a block cannot be read.
    """

    def __init__(self, find: Find) -> None:
        """Ask the stores that `find` knows."""
        self._find = find

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> Callable[[], list[Series]]:
        """Ask as `MetricStore.select` does."""
        store = self._find(tenant)
        return list[Series] if store is None else store.select(matchers, start_ms, end_ms)

    def series(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> Callable[[], list[Labels]]:
        """Ask as `MetricStore.series` does."""
        store = self._find(tenant)
        return list[Labels] if store is None else store.series(matchers, start_ms, end_ms)

    def label_names(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> Callable[[], list[str]]:
        """Ask as `MetricStore.label_names` does."""
        store = self._find(tenant)
        return list[str] if store is None else store.label_names(matchers, start_ms, end_ms)

    def label_values(
        self,
        tenant: TenantId,
        name: str,
        matchers: Sequence[Matcher],
        *,
        start_ms: int,
        end_ms: int,
    ) -> Callable[[], list[str]]:
        """Ask as `MetricStore.label_values` does."""
        store = self._find(tenant)
        if store is None:
            return list[str]
        return store.label_values(name, matchers, start_ms=start_ms, end_ms=end_ms)
