"""Remote write into the real store: order, repeats, limits, and what a restart brings back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from write_requests import packed, series

from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.receiver import Receiver, Written
from tocsin.metrics_collector.remote_write import Version
from tocsin.model.clock import Clock
from tocsin.model.sample import STALE, STALE_BITS
from tocsin.model.slots import to_ms
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.options import Limits
from tocsin.timeseries.store import MetricStore

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = to_ms(T0)
UP = {"__name__": "up"}
MINUTE = 60_000


class Still(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return T0

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetricStore]:
    opened = MetricStore(tmp_path / "metrics")
    yield opened
    opened.close()


def receiver(store: MetricStore) -> Receiver:
    instruments = MetricInstruments(Registry(version="1"))
    return Receiver(store, clock=Still(), instruments=instruments)


async def send(to: Receiver, *parts: bytes) -> Written:
    return await to.receive(ACME, packed(parts), Version.V1)


def held(store: MetricStore) -> list[tuple[int, int]]:
    found = store.select(ACME, [], start_ms=0, end_ms=2 * NOW)
    return [
        (ts_ms - NOW, bits)
        for each in found
        for ts_ms, bits in zip(each.times.tolist(), each.values.view(np.uint64), strict=True)
    ]


async def test_samples_may_be_five_minutes_late_and_no_more(store: MetricStore) -> None:
    to = receiver(store)
    assert await send(to, series(UP, (NOW, 1.0))) == Written(1)
    assert await send(to, series(UP, (NOW - 5 * MINUTE, 2.0))) == Written(1)
    late = await send(to, series(UP, (NOW - 5 * MINUTE - 1, 3.0), (NOW - MINUTE, 4.0)))
    assert late == Written(1, {"out_of_order": 1})
    assert [at for at, _ in held(store)] == [-5 * MINUTE, -MINUTE, 0]


async def test_a_repeat_is_silent_and_another_value_is_not(store: MetricStore) -> None:
    to = receiver(store)
    request = [series(UP, (NOW + n, float(n))) for n in range(3)]
    assert await send(to, *request) == Written(3)
    assert await send(to, *request) == Written(3)
    assert await send(to, series(UP, (NOW, 9.0))) == Written(0, {"duplicate": 1})


async def test_series_that_were_given_up_are_taken_anew(store: MetricStore) -> None:
    to, names = receiver(store), [f"m{n}" for n in range(40)]

    async def written(at_ms: int) -> Written:
        return await send(to, *(series({"__name__": name}, (at_ms, 1.0)) for name in names))

    for minutes in range(3):
        assert await written(NOW + minutes * MINUTE) == Written(40)
    store.expire(ACME, 10 * NOW)
    assert held(store) == []
    assert await written(NOW + 9 * MINUTE) == Written(40)
    found = store.select(ACME, [], start_ms=0, end_ms=2 * NOW)
    assert {each.labels["__name__"] for each in found} == set(names)


async def test_the_limit_of_series_holds_for_its_tenant_alone(store: MetricStore) -> None:
    store.set_limits(ACME, Limits(active_series=1))
    to = receiver(store)
    names = [{"__name__": name} for name in ("a", "b", "c")]
    parts = [series(labels, (NOW, 1.0)) for labels in names]
    assert await send(to, *parts) == Written(1, {"active_series_limit": 2})
    assert await to.receive(OTHER, packed(parts), Version.V1) == Written(3)


async def test_a_restart_brings_back_every_bit(tmp_path: Path) -> None:
    first = MetricStore(tmp_path / "metrics")
    await send(
        receiver(first), series(UP, (NOW, 1.0), (NOW + 1, STALE)), series(UP, (NOW - 1, 2.0))
    )
    before = held(first)
    first.close()
    second = MetricStore(tmp_path / "metrics")
    assert held(second) == before
    assert before[-1] == (1, STALE_BITS)
    second.close()
