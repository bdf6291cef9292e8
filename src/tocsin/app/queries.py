"""PromQL in this process: for rules on the event loop, for whoever asks in threads beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from tocsin.model.errors import InvalidInput, Unreachable
from tocsin.model.labels import EMPTY
from tocsin.model.matchers import Matcher
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.ports import SeriesSource
from tocsin.promql.result import Result, Scalar, Vector
from tocsin.rule_engine.ports import Answer, Queries

_SCALAR = (EMPTY,)


class Evaluates(Protocol):
    """Gives the value of an expression: the engine afresh, compiled plans from what they kept."""

    def instant(self, tenant: TenantId, text: str, /, *, at_ms: int) -> Result:
        """Return the value at one time. Raises ExecutionError and InvalidInput."""
        ...


class EmbeddedQueries(Queries):
    """Evaluates rule expressions in this process."""

    def __init__(self, engine: Evaluates) -> None:
        """Answer from `engine`."""
        self._engine = engine

    async def instant(self, tenant: TenantId, expr: str, *, at_ms: int) -> Answer:
        """Return the value of `expr` at `at_ms`; blocks the loop for as long as it takes."""
        try:
            result = self._engine.instant(tenant, expr, at_ms=at_ms)
        except ExecutionError as error:
            raise InvalidInput(str(error)) from error
        match result.value:
            case Vector(labels=labels, values=values):
                return Answer(labels, values, result.warnings)
            case Scalar(value=value):
                return Answer(_SCALAR, np.array([value]), result.warnings)
            case _:
                raise InvalidInput(f"a rule needs an instant vector or a scalar: {expr}")


THREADS = 4  # ad-hoc queries evaluated at a time; more of them wait
STORE_WITHIN_S = 30.0


class QueryThreads:
    """Evaluates ad-hoc queries in threads, so that a heavy one holds up no alert.

    The metric store belongs to the event loop: a thread asks the loop for the series and then
    works on arrays that nobody changes. Make it on the loop, close it there.
    """

    def __init__(self, source: SeriesSource) -> None:
        """Answer from `source`."""
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tocsin-query")
        self.engine = Engine(_OnLoop(source, self._loop))

    async def evaluate(self, query: Callable[[], Result]) -> Result:
        """Return what `query` gives; it uses `engine`."""
        return await self._loop.run_in_executor(self._pool, query)

    def close(self) -> None:
        """Begin no more queries; those that run may end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _OnLoop(SeriesSource):
    """Reads a source on the event loop, for callers in other threads."""

    def __init__(self, source: SeriesSource, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Series]:
        """Return the series of the source. Raises Unreachable when the loop does not answer."""

        async def read() -> list[Series]:
            return self._source.select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)

        reading = asyncio.run_coroutine_threadsafe(read(), self._loop)
        try:
            return reading.result(STORE_WITHIN_S)
        except TimeoutError as error:
            reading.cancel()
            raise Unreachable("the metric store is too busy to answer a query") from error
