"""Asks one backend for one tenant: whole expressions, never raw series.

Equal questions (expression and time) of a round are asked once. A question that fails for a
reason that may pass (no answer, 429, 5xx) is asked a second time, both within the tenant's
`timeout`; what fails then is the caller's to tell. So many are under way at a time as the
gate of the address lets through.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection

from tocsin.metrics_collector.backend.answer import Found, found_in
from tocsin.metrics_collector.backend.gate import Gates
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.way import Params, Way
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import InvalidInput, LimitExceeded, Unreachable
from tocsin.model.tenant import TenantId

Rng = Callable[[], float]
"""Gives a number from 0 up to 1."""
Reads = Callable[[str], frozenset[str] | None]
"""Tells which metrics an expression reads by name; None when it may read any."""

LONGEST_QUERY_S = 120.0  # of people; as the API of this server allows
_REMEMBERED = 256  # questions of a round that may come again
_LARGEST_REMEMBERED = 1_000  # elements of an answer
_PAUSE_S = 0.5  # before a second try, and as much again by chance
_LONGEST_PAUSE_S = 5.0  # what Retry-After may ask for
_TOO_MANY = 429

_Question = tuple[str, int]


class Upstream:
    """One tenant's backend, to be asked. One event loop; `close` it at the end."""

    def __init__(
        self,
        tenant: TenantId,
        way: Way,
        gates: Gates,
        *,
        instruments: BackendInstruments,
        reads: Reads,
        rng: Rng,
    ) -> None:
        """Ask over `way`; nothing is sent yet."""
        self.tenant = tenant
        self.way = way
        self._gates = gates
        self._told = instruments
        self._reads = reads
        self._rng = rng
        self._known: OrderedDict[_Question, asyncio.Task[Found]] = OrderedDict()
        self._asking: set[asyncio.Task[Found]] = set()

    async def instant(self, expr: str, *, at_ms: int) -> Found:
        """Return the value of `expr` at `at_ms`, perhaps from an equal question before.

        Raises InvalidInput, LimitExceeded, Unreachable (see `answer`).
        """
        question = (expr, at_ms)
        task = self._known.get(question)
        if task is None:
            task = asyncio.create_task(self._ask(expr, at_ms), name=f"backend/{self.tenant}")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            task.add_done_callback(lambda done: self._judge(question, done))
            self._remember(question, task)
        else:
            self._told.shared.labels(self.tenant).inc()
        return await asyncio.shield(task)

    def forget(self, written: Collection[str]) -> None:
        """Answer nothing from memory that may read one of these metrics: they were written."""
        for question in list(self._known):
            names = self._reads(question[0])
            if names is None or not names.isdisjoint(written):
                del self._known[question]

    async def pass_on(self, path: str, params: Params, *, method: str = "POST") -> Page:
        """Return the answer to a question of somebody else, as it is, asked once.

        Raises Unreachable, LimitExceeded.
        """
        send = self.way.ask if method == "POST" else self.way.get
        async with self._gates.people.passed():
            return await send(path, params, timeout_s=LONGEST_QUERY_S)

    async def close(self) -> None:
        """Give up what is under way. Idempotent."""
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        self._known.clear()

    def _remember(self, question: _Question, task: asyncio.Task[Found]) -> None:
        self._known[question] = task
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _judge(self, question: _Question, task: asyncio.Task[Found]) -> None:
        """Keep no failure, so that the next to ask is told anew, and no very large answer."""
        failed = task.cancelled() or task.exception() is not None
        useless = failed or len(task.result().labels) > _LARGEST_REMEMBERED
        if useless and self._known.get(question) is task:
            del self._known[question]

    async def _ask(self, expr: str, at_ms: int) -> Found:
        told, began = self._told, asyncio.get_running_loop().time()
        outcome = "failed"
        try:
            params = (("query", expr), ("time", f"{at_ms / 1000:.3f}"))
            page = await self._answer(params, deadline=began + self.way.timeout_s)
            found = found_in(page, shown=self.way.place.shown)
            outcome = "ok"
        except InvalidInput:
            outcome = "refused"
            raise
        finally:
            told.queries.labels(self.tenant, outcome).inc()
            took = asyncio.get_running_loop().time() - began
            told.duration.labels(self.tenant).observe(took)
        return found

    async def _answer(self, params: Params, *, deadline: float) -> Page:
        """Return the first answer worth having, the second try's if there is none."""
        first = await self._try(params, deadline=deadline)
        if isinstance(first, Page) and not may_pass(first.status):
            return first
        pause = self._pause(first)
        if asyncio.get_running_loop().time() + pause >= deadline:
            return _given(first)
        await asyncio.sleep(pause)
        self._told.retries.labels(self.tenant).inc()
        return _given(await self._try(params, deadline=deadline))

    async def _try(self, params: Params, *, deadline: float) -> Page | Unreachable:
        shown = self.way.place.shown
        try:
            async with asyncio.timeout_at(deadline), self._gates.rules.passed():
                left = deadline - asyncio.get_running_loop().time()
                return await self.way.ask("/query", params, timeout_s=max(left, 0.001))
        except TimeoutError:
            return Unreachable(f"{shown}: no answer within {self.way.timeout_s:g} s")
        except Unreachable as error:
            return Unreachable(f"{shown}: {error}")
        except LimitExceeded as error:
            raise LimitExceeded(f"{shown}: {error}") from error

    def _pause(self, first: Page | Unreachable) -> float:
        wanted = first.headers.get("retry-after", "") if isinstance(first, Page) else ""
        if wanted.isdecimal():
            return min(float(wanted), _LONGEST_PAUSE_S)
        return _PAUSE_S * (1 + self._rng())


def may_pass(status: int) -> bool:
    """Tell whether a refusal may be another answer later: 429 and 5xx."""
    return status == _TOO_MANY or status >= 500


def _given(answer: Page | Unreachable) -> Page:
    if isinstance(answer, Page):
        return answer
    raise answer
