"""Rules of a tenant with a backend: asked there, written there and here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from tocsin.app.remote_rules import TenantQueries, TenantSink
from tocsin.metrics_collector.backend.backends import Backends, Surroundings
from tocsin.metrics_collector.backend.config import BackendConfig, BackendKind
from tocsin.metrics_collector.backend.fakes import FakeBackend
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.tenants import Use
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import NotDurable
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.sample import Sample
from tocsin.model.series import Layout
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.fakes import FakeQueries, FakeSink, LoopClock
from tocsin.rule_engine.reads import metrics_read
from tocsin.rule_engine.restore import HEARTBEAT
from tocsin.telemetry.metrics import Registry

A, B = TenantId("a"), TenantId("b")
CONFIG = BackendConfig(
    kind=BackendKind.MIMIR, url="http://m", remote_write_url="http://m/api/v1/push"
)


class Bench:
    """Tenant `a` has a backend, tenant `b` has not."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        around = Surroundings(self.backend, LoopClock(), lambda: 0.5, lambda: "n", metrics_read)
        self.backends = Backends(around, BackendInstruments(Registry(version="0")))
        self.here = FakeQueries()
        self.kept = FakeSink()
        self.queries = TenantQueries(self.here, self.backends)
        self.sink = TenantSink(self.kept, self.backends)

    def append(self, name: str, ts_ms: int, tenant: TenantId = A) -> None:
        layout = Layout(name, (Labels.of({"__name__": name}),))
        self.sink.append(tenant, layout, ts_ms, np.array([1.0]))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.backends.start(A, Use(CONFIG, (A,)))
    yield made
    await made.backends.stop_all()


async def test_each_tenant_is_asked_where_its_metrics_are(bench: Bench) -> None:
    bench.backend.answers["up"] = [({"job": "there"}, 1.0)]
    bench.here.answers["up"] = [Sample(Labels.of({"job": "here"}), 0, 2.0)]
    there = await bench.queries.instant(A, "up", at_ms=0)
    here = await bench.queries.instant(B, "up", at_ms=0)
    assert list(there.elements()) == [(Labels.of({"job": "there"}), 1.0)]
    assert list(here.elements()) == [(Labels.of({"job": "here"}), 2.0)]


async def test_elements_that_stay_come_in_the_same_tuple_whatever_their_order(
    bench: Bench,
) -> None:
    there = [({"i": str(i)}, float(i)) for i in range(5)]
    bench.backend.answers["up"] = there
    first = await bench.queries.instant(A, "up", at_ms=1)
    bench.backend.answers["up"] = [(labels, -value) for labels, value in reversed(there)]
    second = await bench.queries.instant(A, "up", at_ms=2)
    assert second.labels is first.labels
    assert second.values.tolist() == [-0.0, -1.0, -2.0, -3.0, -4.0]
    bench.backend.answers["up"] = there[1:]
    assert len((await bench.queries.instant(A, "up", at_ms=3)).labels) == 4


async def test_what_rules_write_is_kept_here_and_there(bench: Bench) -> None:
    bench.append("m", 1)
    bench.append("m", 1, B)
    await asyncio.sleep(1)
    assert bench.kept.named(A, "m") == {EMPTY: [(1, 1.0)]}
    assert bench.backend.points("a", "m") == {EMPTY: [(1, 1.0)]}
    assert bench.backend.series.keys() == {"a"}


async def test_the_note_of_the_last_round_stays_here(bench: Bench) -> None:
    bench.append(HEARTBEAT, 1)
    await asyncio.sleep(1)
    assert bench.kept.named(A, HEARTBEAT)
    assert bench.backend.asked == []


async def test_a_rule_reads_what_the_one_before_it_wrote(bench: Bench) -> None:
    bench.backend.takes_s = 2
    bench.append("m", 1)
    await bench.queries.instant(A, "sum(m)", at_ms=1)
    assert [call.url.rpartition("/")[2] for call in bench.backend.asked] == ["push", "query"]


async def test_a_rule_that_reads_something_else_does_not_wait(bench: Bench) -> None:
    bench.backend.takes_s = 2
    bench.append("m", 1)
    began = asyncio.get_running_loop().time()
    await bench.queries.instant(A, "other", at_ms=1)
    assert asyncio.get_running_loop().time() - began == 2


async def test_what_was_asked_before_it_was_written_is_asked_anew(bench: Bench) -> None:
    await bench.queries.instant(A, "m", at_ms=1)
    bench.append("m", 1)
    await bench.queries.instant(A, "m", at_ms=1)
    assert bench.backend.expressions() == ["m", "m"]


async def test_what_the_backend_refused_is_told_and_kept_here(bench: Bench) -> None:
    bench.backend.next.append(Page(400, {}, b"no"))
    bench.append("m", 1)
    await asyncio.sleep(1)
    with pytest.raises(NotDurable, match="HTTP 400: no"):
        bench.append("m", 2)
    await asyncio.sleep(1)
    assert bench.kept.named(A, "m") == {EMPTY: [(1, 1.0), (2, 1.0)]}
    assert bench.backend.points("a", "m") == {EMPTY: [(2, 1.0)]}
