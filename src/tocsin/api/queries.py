"""What the dialects and the pages need of whoever evaluates ad-hoc queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeAlias, TypeVar

from tocsin.model.clock import Clock
from tocsin.model.matchers import Matcher
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import QueryTimeout
from tocsin.promql.options import Options
from tocsin.promql.result import Result

T = TypeVar("T")
LONGEST = timedelta(minutes=2)  # `--query.timeout` of Prometheus
NO_TURN = "query timed out in query queue"
Expired: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Instant:
    """A question about one time.

    `lookback_ms` 0 is the tenant's own; `timeout` may shorten what the tenant is allowed.
    """

    expr: str
    at_ms: int
    lookback_ms: int = 0
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """A question about the times from start to end, both inclusive."""

    expr: str
    start_ms: int
    end_ms: int
    step_ms: int
    lookback_ms: int = 0
    timeout: timedelta | None = None


Question: TypeAlias = Instant | Range


@dataclass(frozen=True, slots=True)
class Ran:
    """An answer, how long its query waited for its turn, and how long it then took."""

    result: Result
    queued: timedelta = timedelta(0)
    took: timedelta = timedelta(0)


class AdHocQueries(Protocol):
    """Evaluates queries that somebody waits for, within the budgets of the tenant."""

    def options(self, tenant: TenantId) -> Options:
        """Return the semantics and budgets of the tenant's queries."""
        ...

    async def ask(self, tenant: TenantId, question: Question, render: Callable[[Ran], T]) -> T:
        """Return what `render` makes of the answer; both may happen in another thread.

        Raises InvalidInput (ParseError), ExecutionError, Unreachable, and LimitExceeded:
        TooManySamples, QueryTimeout, TooManyQueries.
        """
        ...

    async def run(self, tenant: TenantId, work: Callable[[], T]) -> T:
        """Return what `work` gives: reading of the tenant's that takes its turn like a query.

        It may happen in another thread. Raises what `work` raises, QueryTimeout, TooManyQueries.
        """
        ...


class SamplesLater(Protocol):
    """The samples that can be read. The metric store fits it by structure."""

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> Callable[[], list[Series]]:
        """Return what returns the samples with start <= t <= end that satisfy every matcher.

        Ask on the event loop; what comes back may be called in any thread, once.
        """
        ...


def answered(engine: Engine, tenant: TenantId, question: Question, expired: Expired) -> Result:
    """Return what `engine` answers."""
    match question:
        case Instant():
            return engine.instant(
                tenant,
                question.expr,
                at_ms=question.at_ms,
                expired=expired,
                lookback_ms=question.lookback_ms,
            )
        case Range():
            return engine.range(
                tenant,
                question.expr,
                start_ms=question.start_ms,
                end_ms=question.end_ms,
                step_ms=question.step_ms,
                expired=expired,
                lookback_ms=question.lookback_ms,
            )


@dataclass(frozen=True, slots=True)
class AtOnce(AdHocQueries):
    """Evaluates each query where it is asked: for small data, and for tests."""

    engine: Engine
    clock: Clock

    def options(self, tenant: TenantId) -> Options:
        """Return the engine's options."""
        return self.engine.options_of(tenant)

    async def ask(self, tenant: TenantId, question: Question, render: Callable[[Ran], T]) -> T:
        """Return what `render` makes of the answer."""
        began = self.clock.now()
        ends = began + (LONGEST if question.timeout is None else min(LONGEST, question.timeout))
        if ends <= began:
            raise QueryTimeout(NO_TURN)
        result = answered(self.engine, tenant, question, lambda: self.clock.now() >= ends)
        return render(Ran(result, took=self.clock.now() - began))

    async def run(self, tenant: TenantId, work: Callable[[], T]) -> T:
        """Return what `work` gives."""
        return work()
