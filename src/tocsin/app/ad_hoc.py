"""Ad-hoc queries in threads beside the event loop, within the budgets of their tenants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from tocsin.api.queries import NO_TURN, AdHocQueries, Question, Ran, SamplesLater, answered
from tocsin.app.instruments import QueryInstruments
from tocsin.app.query_turns import QueryTurns, Share
from tocsin.model.errors import InvalidInput, LimitExceeded, TocsinError, Unreachable
from tocsin.model.matchers import Matcher
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql.config import QueryConfig, options_of
from tocsin.promql.engine import Engine
from tocsin.promql.errors import QueryTimeout, TooManyQueries, TooManySamples
from tocsin.promql.options import Options
from tocsin.promql.ports import SeriesSource

T = TypeVar("T")
THREADS = 4  # queries evaluated at a time, of all tenants
STORE_WITHIN_S = 30.0
BudgetOf = Callable[[TenantId], QueryConfig]


class AdHoc(AdHocQueries):
    """Evaluates queries in threads, so that a heavy one holds up no alert.

    The metric store belongs to the event loop: a thread asks the loop which series there are,
    reads blocks by itself, and works on arrays that nobody changes. Make it on the loop, close
    it there.
    """

    def __init__(
        self, source: SamplesLater, budget: BudgetOf, instruments: QueryInstruments
    ) -> None:
        """Answer from `source`; `budget` is asked for each query, since a reload changes it."""
        self._loop = asyncio.get_running_loop()
        self._budget = budget
        self._instruments = instruments
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tocsin-query")
        self._turns = QueryTurns(THREADS, self._share, self._show)
        self._engine = Engine(_OnLoop(source, self._loop), options_of=self.options)

    def options(self, tenant: TenantId) -> Options:
        """Return the semantics and budgets of the tenant's queries."""
        return options_of(self._budget(tenant))

    async def ask(self, tenant: TenantId, question: Question, render: Callable[[Ran], T]) -> T:
        """Return what `render` makes of the answer; both happen in a thread.

        When this is cancelled, the evaluation ends soon too.
        """
        began = self._loop.time()
        try:
            return await self._within(tenant, question, render, began)
        except (TocsinError, asyncio.CancelledError) as error:
            self._instruments.failed.labels(tenant, _reason(error)).inc()
            raise
        finally:
            self._instruments.seconds.labels(tenant).observe(self._loop.time() - began)

    async def run(self, tenant: TenantId, work: Callable[[], T]) -> T:
        """Return what `work` gives in a thread, once the tenant has a turn."""
        allowed = self._budget(tenant).timeout.total_seconds()
        async with self._turns.turn(tenant, within_s=allowed):
            return await self._loop.run_in_executor(self._pool, work)

    def close(self) -> None:
        """Begin no more queries; those that run may end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _within(
        self, tenant: TenantId, question: Question, render: Callable[[Ran], T], began: float
    ) -> T:
        allowed: timedelta = self._budget(tenant).timeout
        if question.timeout is not None:
            allowed = min(allowed, question.timeout)
        ends = began + allowed.total_seconds()
        if ends <= began:
            raise QueryTimeout(NO_TURN)

        unwanted = threading.Event()

        def expired() -> bool:
            return unwanted.is_set() or self._loop.time() >= ends

        def evaluated() -> tuple[T, int]:
            started = self._loop.time()
            result = answered(self._engine, tenant, question, expired)
            if unwanted.is_set():  # what is no answer need not be rendered
                raise QueryTimeout(NO_TURN)
            took = timedelta(seconds=self._loop.time() - started)
            return render(Ran(result, timedelta(seconds=started - began), took)), result.samples

        async with self._turns.turn(tenant, within_s=ends - began):
            try:
                shown, samples = await self._loop.run_in_executor(self._pool, evaluated)
            finally:
                unwanted.set()
        self._instruments.samples.labels(tenant).inc(samples)
        return shown

    def _share(self, tenant: TenantId) -> Share:
        budget = self._budget(tenant)
        return Share(budget.max_concurrency, budget.max_queued)

    def _show(self, tenant: TenantId) -> None:
        self._instruments.running.labels(tenant).set(self._turns.running(tenant))
        self._instruments.waiting.labels(tenant).set(self._turns.waiting(tenant))


def _reason(error: BaseException) -> str:
    """Return why a query gave no answer, as the metric's label says it."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "execution"


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (asyncio.CancelledError, "canceled"),
    (QueryTimeout, "timeout"),
    (TooManyQueries, "queue"),
    (TooManySamples, "samples"),
    (LimitExceeded, "limit"),
    (Unreachable, "store"),
    (InvalidInput, "query"),
)


class _OnLoop(SeriesSource):
    """Asks a source on the event loop, for callers in other threads, which do the reading."""

    def __init__(self, source: SamplesLater, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Series]:
        """Return the series of the source. Raises Unreachable when the loop does not answer."""

        async def ask() -> Callable[[], list[Series]]:
            return self._source.select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)

        asking = asyncio.run_coroutine_threadsafe(ask(), self._loop)
        try:
            read = asking.result(STORE_WITHIN_S)
        except TimeoutError as error:
            asking.cancel()
            raise Unreachable("the metric store is too busy to answer a query") from error
        return read()
