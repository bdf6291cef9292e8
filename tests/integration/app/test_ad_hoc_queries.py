"""A heavy query runs beside the event loop, within the budget of its tenant."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from tocsin.api.queries import Instant, Ran, Range, SamplesLater
from tocsin.app.ad_hoc import THREADS, AdHoc
from tocsin.app.instruments import QueryInstruments
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.series import Series
from tocsin.model.settings import Duration
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.config import QueryConfig
from tocsin.promql.errors import ParseError, QueryTimeout, TooManyQueries, TooManySamples
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.result import Matrix, Scalar, Vector
from tocsin.telemetry.metrics import Registry

ACME, OTHER = tenant_id("acme"), tenant_id("other")
ONE = Instant("1", 0)


class Asked(SamplesLater):
    """The fake, asked first and read later; `reading` is called in between."""

    def __init__(self, source: MemorySeries) -> None:
        self._source = source
        self.reading: Callable[[], object] = lambda: None

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> Callable[[], list[Series]]:
        found = self._source.select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)

        def read() -> list[Series]:
            self.reading()
            return found

        return read


class Room:
    """Ad-hoc queries over one series of acme; `budgets` may be changed at any time."""

    def __init__(self) -> None:
        self.source = MemorySeries()
        self.source.add(ACME, Labels.of({"__name__": "up"}), [(1000, 1.0)])
        self.asked = Asked(self.source)
        self.budgets: dict[TenantId, QueryConfig] = {}
        self.registry = Registry(version="0")
        self.queries = AdHoc(
            self.asked,
            lambda tenant: self.budgets.get(tenant, QueryConfig()),
            QueryInstruments(self.registry),
        )

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.collectors.get_sample_value(name, labels) or 0.0


class Held:
    """Something that holds its thread until it is let go."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self, ran: Ran) -> Ran:
        self.hold()
        return ran

    def hold(self) -> None:
        self.begun.release()
        assert self._go.wait(60)

    async def begin(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.begun.acquire, timeout=60)

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
async def room() -> Room:
    return Room()


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.let_go()


def result(ran: Ran) -> Ran:
    return ran


async def test_a_query_reads_the_store_of_the_loop_for_its_tenant_only(room: Room) -> None:
    for tenant, found in ((ACME, 1), (OTHER, 0)):
        ran = await room.queries.ask(tenant, Instant("up", 1000), result)
        assert isinstance(ran.result.value, Vector)
        assert len(ran.result.value.labels) == found
    ranged = await room.queries.ask(ACME, Range("up", 1000, 3000, 1000), result)
    assert isinstance(ranged.result.value, Matrix)
    assert ranged.result.value.series[0].times.size == 3
    room.queries.close()


async def test_the_loop_goes_on_while_a_query_runs(room: Room, held: Held) -> None:
    running = asyncio.create_task(room.queries.ask(ACME, ONE, held))
    light = await room.queries.ask(ACME, ONE, result)
    assert light.result.value == Scalar(0, 1.0)
    assert not running.done()
    held.let_go()
    assert (await running).result.value == Scalar(0, 1.0)
    room.queries.close()


async def test_one_tenant_leaves_a_thread_to_the_others(room: Room, held: Held) -> None:
    busy = [asyncio.create_task(room.queries.ask(ACME, ONE, held)) for _ in range(THREADS)]
    await held.begin(QueryConfig().max_concurrency)
    assert QueryConfig().max_concurrency < THREADS
    assert (await room.queries.ask(OTHER, ONE, result)).result.value == Scalar(0, 1.0)
    assert room.counted("tocsin_queries_in_flight", tenant=ACME) == THREADS - 1
    held.let_go()
    await asyncio.gather(*busy)
    assert room.counted("tocsin_queries_in_flight", tenant=ACME) == 0
    assert room.counted("tocsin_query_duration_seconds_count", tenant=ACME) == THREADS
    room.queries.close()


async def test_a_query_that_gets_no_turn_in_time_was_timed_out_in_the_queue(
    room: Room, held: Held
) -> None:
    room.budgets[ACME] = QueryConfig(max_concurrency=1)
    running = asyncio.create_task(room.queries.ask(ACME, ONE, held))
    await held.begin(1)
    late = Instant("1", 0, timeout=timedelta(milliseconds=1))
    with pytest.raises(QueryTimeout, match="query timed out in query queue"):
        await room.queries.ask(ACME, late, result)
    assert room.counted("tocsin_query_failures_total", tenant=ACME, reason="timeout") == 1
    held.let_go()
    await running
    room.queries.close()


async def test_more_queries_than_may_wait_are_refused(room: Room, held: Held) -> None:
    room.budgets[ACME] = QueryConfig(max_concurrency=1, max_queued=0)
    running = asyncio.create_task(room.queries.ask(ACME, ONE, held))
    await held.begin(1)
    with pytest.raises(TooManyQueries, match="too many queries wait for their turn"):
        await room.queries.ask(ACME, ONE, result)
    assert room.counted("tocsin_query_failures_total", tenant=ACME, reason="queue") == 1
    held.let_go()
    await running
    room.queries.close()


async def test_the_budget_of_the_tenant_ends_a_query(room: Room) -> None:
    room.budgets[ACME] = QueryConfig(max_samples=1, timeout=Duration(0.001))
    with pytest.raises(TooManySamples):
        await room.queries.ask(ACME, Instant("up + up", 1000, timeout=None), result)
    for timeout in (timedelta(0), timedelta(seconds=-1)):
        with pytest.raises(QueryTimeout, match="query timed out in query queue"):
            await room.queries.ask(ACME, Instant("up", 1000, timeout=timeout), result)
    room.queries.close()


async def test_a_query_past_its_deadline_ends_while_it_is_evaluated(room: Room) -> None:
    room.budgets[ACME] = QueryConfig(timeout=Duration.parse("1ms"))
    query = "sum_over_time((" + " + ".join(["vector(1)"] * 60) + ")[12h:1s])"
    with pytest.raises(QueryTimeout, match="query timed out"):
        await room.queries.ask(ACME, Instant(query, 10**9), result)
    room.queries.close()


async def test_a_query_that_is_none_counts_as_such(room: Room) -> None:
    with pytest.raises(ParseError):
        await room.queries.ask(ACME, Instant("up(", 0), result)
    assert room.counted("tocsin_query_failures_total", tenant=ACME, reason="query") == 1
    room.queries.close()


async def test_what_was_read_is_counted(room: Room) -> None:
    await room.queries.ask(ACME, Instant("up", 1000), result)
    assert room.counted("tocsin_query_samples_total", tenant=ACME) == 1
    room.queries.close()


async def test_other_reading_takes_its_turn_like_a_query(room: Room, held: Held) -> None:
    room.budgets[ACME] = QueryConfig(max_concurrency=1, max_queued=0)
    running = asyncio.create_task(room.queries.ask(ACME, ONE, held))
    await held.begin(1)
    with pytest.raises(TooManyQueries):
        await room.queries.run(ACME, lambda: 1)
    assert await room.queries.run(OTHER, threading.get_ident) != threading.get_ident()
    held.let_go()
    await running
    room.queries.close()


async def test_a_query_that_nobody_waits_for_any_more_ends(room: Room, held: Held) -> None:
    rendered: list[Ran] = []
    room.asked.reading = held.hold
    asking = asyncio.create_task(room.queries.ask(ACME, Instant("up", 1000), rendered.append))
    await held.begin(1)
    asking.cancel()
    await asyncio.wait([asking])
    assert room.counted("tocsin_query_failures_total", tenant=ACME, reason="canceled") == 1
    assert room.counted("tocsin_queries_in_flight", tenant=ACME) == 0
    held.let_go()
    room.queries.close()
    for thread in threading.enumerate():
        if thread.name.startswith("tocsin-query"):
            await asyncio.to_thread(thread.join, 60)
    assert rendered == []
