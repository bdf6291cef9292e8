"""The backends of all tenants: who is asked where, and when somebody may be asked at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any

import numpy as np
import pytest

from tocsin.metrics_collector.backend.backends import Backends, Surroundings
from tocsin.metrics_collector.backend.config import BackendConfig, BackendKind
from tocsin.metrics_collector.backend.fakes import FakeBackend
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.tenants import uses
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import Unreachable
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.sample import is_stale
from tocsin.model.series import Layout
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.fakes import LoopClock
from tocsin.telemetry.metrics import Registry

A, B, C = TenantId("a"), TenantId("b"), TenantId("c")
AWAY = Page(503, {}, b"starting")


def mimir(**more: Any) -> BackendConfig:
    return BackendConfig(kind=BackendKind.MIMIR, url="http://m", **more)


def writing(**more: Any) -> BackendConfig:
    return mimir(remote_write_url="http://m/api/v1/push", **more)


class Bench:
    """All backends of a server, and the one server behind them."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.registry = Registry(version="0")
        numbers = count()
        around = Surroundings(
            http=self.backend,
            clock=LoopClock(),
            rng=lambda: 0.5,
            nonces=lambda: f"nonce{next(numbers)}",
            reads=lambda _: None,
        )
        self.backends = Backends(around, BackendInstruments(self.registry))

    async def configure(self, configs: Mapping[TenantId, BackendConfig]) -> None:
        for tenant, use in uses(configs).items():
            await self.backends.reload(tenant, use)

    async def asked(self, tenant: TenantId) -> bool:
        """Tell whether a rule of the tenant is answered; False while that is not allowed."""
        try:
            upstream = self.backends.upstream(tenant)
        except Unreachable:
            return False
        assert upstream is not None
        return (await upstream.instant("up", at_ms=0)).labels == ()

    def refusal(self, tenant: TenantId) -> str:
        with pytest.raises(Unreachable) as caught:
            self.backends.upstream(tenant)
        return str(caught.value)

    def isolated(self, tenant: TenantId) -> float | None:
        name = "tocsin_backend_isolated"
        return self.registry.collectors.get_sample_value(name, {"tenant": tenant})

    def put(self, tenant: TenantId, ts_ms: int) -> None:
        forwarder = self.backends.forwarder(tenant)
        assert forwarder is not None
        layout = Layout("m", (Labels.of({"__name__": "m"}),))
        forwarder.put(layout, ts_ms, np.array([1.0]))

    def times(self, tenant: TenantId) -> list[int]:
        return [ts for ts, _ in self.backend.points(tenant, "m").get(EMPTY, [])]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.backends.stop_all()
    await made.backends.stop_all()


async def test_a_tenant_without_a_backend_is_not_asked_anywhere(bench: Bench) -> None:
    await bench.backends.start(A, None)
    assert bench.backends.upstream(A) is None
    assert bench.backends.forwarder(A) is None
    bench.backends.written(A, {"m"})
    await bench.backends.stop(A)


async def test_one_tenant_alone_is_asked_at_once(bench: Bench) -> None:
    await bench.configure({A: writing()})
    assert await bench.asked(A)
    assert bench.backend.expressions() == ["up"]


async def test_nothing_is_written_where_there_is_no_place_to_write_to(bench: Bench) -> None:
    await bench.configure({A: mimir()})
    assert bench.backends.forwarder(A) is None


async def test_several_are_asked_once_isolation_is_shown(bench: Bench) -> None:
    await bench.configure({A: writing(), B: writing()})
    assert "not asked before it is shown" in bench.refusal(A)
    assert bench.isolated(A) == 0
    await asyncio.sleep(1)
    assert await bench.asked(A)
    assert await bench.asked(B)
    assert bench.isolated(B) == 1
    canaries = bench.backend.points("a", "tocsin_isolation_probe")
    ((labels, points),) = canaries.items()
    assert dict(labels) == {"probe": "nonce0", "canary": "0"}
    assert is_stale(points[-1][1]), "the canary ends when it is of no use any more"


async def test_a_backend_that_mixes_tenants_is_closed_to_all_of_them(bench: Bench) -> None:
    bench.backend.keeps_apart = False
    await bench.configure({A: writing(), B: writing()})
    await asyncio.sleep(1)
    for tenant in (A, B):
        assert "reads what another tenant wrote" in bench.refusal(tenant)
    bench.backend.keeps_apart = True
    await asyncio.sleep(10)
    assert await bench.asked(A), "once it is set right it is asked"


async def test_a_backend_open_to_who_names_no_tenant_is_closed(bench: Bench) -> None:
    bench.backend.guarded = False
    bench.backend.to_nameless = "b"
    await bench.configure({A: writing(), B: writing()})
    await asyncio.sleep(1)
    assert "is read by whoever names no tenant" in bench.refusal(A)
    bench.backend.to_nameless = ""
    await asyncio.sleep(10)
    assert await bench.asked(A), "the nameless read nothing: no harm"


async def test_a_backend_that_is_away_at_the_start_is_asked_when_it_is_back(bench: Bench) -> None:
    bench.backend.next.extend([AWAY, Unreachable("connection refused")])
    await bench.configure({A: writing(), B: writing()})
    await asyncio.sleep(1)
    assert "cannot write: HTTP 503: starting" in bench.refusal(A)
    await asyncio.sleep(6)
    assert "connection refused" in bench.refusal(A)
    await asyncio.sleep(11)
    assert await bench.asked(A)


async def test_a_canary_nobody_reads_shows_nothing(bench: Bench) -> None:
    bench.backend.shows_writes = False
    await bench.configure({A: writing(), B: writing()})
    await asyncio.sleep(40)
    assert "a series just written cannot be read" in bench.refusal(B)


async def test_a_tenant_that_cannot_write_is_probed_as_a_reader(bench: Bench) -> None:
    bench.backend.keeps_apart = False
    await bench.configure({A: writing(), B: mimir()})
    await asyncio.sleep(1)
    assert "reads what another tenant wrote" in bench.refusal(B)


async def test_a_third_tenant_waits_while_the_others_go_on(bench: Bench) -> None:
    await bench.configure({A: writing(), B: writing()})
    await asyncio.sleep(1)
    await bench.configure({A: writing(), B: writing(), C: writing()})
    assert await bench.asked(A)
    assert not await bench.asked(C)
    await asyncio.sleep(1)
    assert await bench.asked(C)
    await bench.backends.stop(C)
    await bench.configure({A: writing(), B: writing()})
    assert await bench.asked(A)
    assert bench.isolated(C) is None


async def test_other_settings_are_shown_anew(bench: Bench) -> None:
    await bench.configure({A: writing(), B: writing()})
    await asyncio.sleep(1)
    await bench.configure({A: writing(tenant_map={"a": "z"}), B: writing()})
    assert not await bench.asked(A)
    assert await bench.asked(B)
    await asyncio.sleep(1)
    assert await bench.asked(A)


async def test_unchanged_settings_change_nothing(bench: Bench) -> None:
    await bench.configure({A: writing()})
    before = bench.backends.upstream(A), bench.backends.forwarder(A)
    await bench.configure({A: writing()})
    assert (bench.backends.upstream(A), bench.backends.forwarder(A)) == before


async def test_what_waits_is_written_with_the_new_settings(bench: Bench) -> None:
    bench.backend.next.extend([Page(503, {"retry-after": "9"}, b"")])
    await bench.configure({A: writing()})
    bench.put(A, 1)
    await asyncio.sleep(1)
    await bench.configure({A: writing(tenant_map={"a": "z"})})
    bench.put(A, 2)
    await asyncio.sleep(10)
    assert (bench.times(A), bench.times(TenantId("z"))) == ([], [1, 2])


async def test_writing_ends_with_the_address_to_write_to(bench: Bench) -> None:
    await bench.configure({A: writing()})
    bench.put(A, 1)
    await bench.configure({A: mimir()})
    assert bench.backends.forwarder(A) is None
    assert bench.times(A) == [1]


async def test_another_address_is_another_backend(bench: Bench) -> None:
    await bench.configure({A: writing(), B: writing()})
    await asyncio.sleep(1)
    elsewhere = BackendConfig(kind=BackendKind.PROMETHEUS, url="http://p:9090")
    await bench.configure({A: writing(), B: elsewhere})
    assert await bench.asked(A)
    bench.backend.guarded = False
    assert await bench.asked(B)
    assert bench.backend.asked[-1].url == "http://p:9090/api/v1/query"
    await bench.backends.reload(A, None)
    assert bench.backends.upstream(A) is None


async def test_the_smallest_number_counts_for_all_at_an_address(bench: Bench) -> None:
    await bench.configure({A: mimir(max_in_flight=2), B: mimir(max_in_flight=5)})
    bench.backend.takes_s = 1
    upstreams = [bench.backends.upstream(tenant) for tenant in (A, B)]
    questions = [u.instant(f"x{i}", at_ms=0) for u in upstreams if u for i in range(4)]
    await asyncio.gather(*questions)
    assert bench.backend.most_under_way == 2
