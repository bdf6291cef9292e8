"""A heavy query runs beside the event loop and sees what the loop's store has."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from tocsin.app.queries import QueryThreads
from tocsin.model.labels import Labels
from tocsin.model.tenant import tenant_id
from tocsin.promql.errors import ParseError
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.result import Result, Scalar, Vector

ACME, OTHER = tenant_id("acme"), tenant_id("other")


async def test_a_query_reads_the_store_of_the_loop_for_its_tenant_only() -> None:
    source = MemorySeries()
    source.add(ACME, Labels.of({"__name__": "up"}), [(1000, 1.0)])
    threads = QueryThreads(source)
    for tenant, found in ((ACME, 1), (OTHER, 0)):
        query = partial(threads.engine.instant, tenant, "up", at_ms=1000)
        value = (await threads.evaluate(query)).value
        assert isinstance(value, Vector)
        assert len(value.labels) == found
    with pytest.raises(ParseError):
        await threads.evaluate(partial(threads.engine.instant, ACME, "up(", at_ms=0))
    threads.close()


async def test_the_loop_goes_on_while_a_query_runs() -> None:
    threads, finish = QueryThreads(MemorySeries()), threading.Event()

    def heavy() -> Result:
        finish.wait(30)
        return Result(Scalar(0, 1.0))

    running = asyncio.create_task(threads.evaluate(heavy))
    light = await threads.evaluate(partial(threads.engine.instant, ACME, "1", at_ms=0))
    assert isinstance(light.value, Scalar)
    assert not running.done()
    finish.set()
    assert (await running).value == Scalar(0, 1.0)
    threads.close()
