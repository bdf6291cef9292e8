"""OTLP into the real store: order, repeats, limits, deltas, and what a restart brings back."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from otlp_requests import (
    DELTA,
    NO_VALUE,
    SHOP,
    counter,
    gauge,
    histogram,
    histograms,
    number,
    request,
    summaries,
    summary,
)

from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.otlp.receiver import ROOM_LATER, Exported, OtlpReceiver, Sent
from tocsin.model.clock import Clock
from tocsin.model.matchers import Matcher, MatchOp
from tocsin.model.sample import Metadata, is_stale
from tocsin.model.slots import to_ms
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.options import Limits, Options
from tocsin.timeseries.store import MetricStore

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW, NOW_MS = T0.timestamp(), to_ms(T0)


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


def receiver(store: MetricStore) -> OtlpReceiver:
    instruments = MetricInstruments(Registry(version="1"))
    return OtlpReceiver(store, clock=Still(), instruments=instruments)


async def send(to: OtlpReceiver, *metrics: bytes) -> Exported:
    return await to.receive(ACME, Sent(gzip.compress(request(*metrics)), gzip=True))


def held(store: MetricStore, name: str) -> list[tuple[float, float]]:
    """Return the samples of a series: seconds after now, and values."""
    matcher = Matcher("__name__", MatchOp.EQUAL, name)
    found = store.select(ACME, [matcher], start_ms=0, end_ms=2 * NOW_MS)
    return [
        ((ts_ms - NOW_MS) / 1000, value)
        for series in found
        for ts_ms, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]


async def test_every_kind_of_metric_is_stored(store: MetricStore) -> None:
    to = receiver(store)
    for second in range(4):
        exported = await send(
            to,
            gauge("g", number(1.5, NOW + second, a="b"), unit="1"),
            counter("c", number(second, NOW + second), unit="By", text="Bytes."),
            histograms("h", histogram([1, second], [1], NOW + second, total=2.0), unit="s"),
            summaries("s", summary(second, 1.0, {0.5: 2.0}, NOW + second)),
        )
        assert exported.complete
    assert held(store, "g_ratio") == [(second, 1.5) for second in range(4)]
    assert held(store, "c_bytes_total") == [(second, second) for second in range(4)]
    assert held(store, "h_seconds_count") == [(second, second + 1) for second in range(4)]
    assert held(store, "s") == [(second, 2.0) for second in range(4)]
    assert store.metadata(ACME)["c_bytes_total"] == Metadata("counter", "Bytes.", "bytes")
    assert store.select(OTHER, [], start_ms=0, end_ms=2 * NOW_MS) == []


async def test_what_comes_twice_is_there_once(store: MetricStore) -> None:
    to = receiver(store)
    for _ in range(4):
        assert (await send(to, gauge("g", number(1.5, NOW)))).complete
    assert held(store, "g") == [(0, 1.5)]
    again = await send(to, gauge("g", number(2.5, NOW)))
    assert again.rejected == {"duplicate": 1}


async def test_late_points_find_their_place_and_older_ones_are_rejected(
    store: MetricStore,
) -> None:
    to = receiver(store)
    await send(to, gauge("g", number(3, NOW)))
    assert (await send(to, gauge("g", number(2, NOW - 60), number(1, NOW - 120)))).complete
    assert held(store, "g") == [(-120, 1), (-60, 2), (0, 3)]
    late = await send(to, gauge("g", number(0, NOW - 301)))
    assert sum(late.rejected.values()) == 1
    assert len(held(store, "g")) == 3


async def test_no_recorded_value_ends_a_series(store: MetricStore) -> None:
    to = receiver(store)
    await send(to, gauge("g", number(1, NOW)))
    await send(to, gauge("g", number(None, NOW + 1, flags=NO_VALUE)))
    assert [(at, is_stale(value)) for at, value in held(store, "g")] == [(0, False), (1, True)]


async def test_deltas_are_a_counter_and_start_again_after_a_restart(tmp_path: Path) -> None:
    def metric(second: int) -> bytes:
        return counter("c", number(2, NOW + second, start_s=NOW), temporality=DELTA)

    values: list[list[float]] = []
    for seconds in ((0, 1, 2), (3, 4)):
        store = MetricStore(tmp_path / "metrics")
        to = receiver(store)
        for second in seconds:
            assert (await send(to, metric(second))).complete
        values.append([value for _, value in held(store, "c_total")])
        store.close()
    assert values == [[2, 4, 6], [2, 4, 6, 2, 4]]


async def test_a_tenant_has_no_more_series_than_it_may(tmp_path: Path) -> None:
    options = Options(limits=Limits(active_series=2))
    store = MetricStore(tmp_path / "metrics", options)
    to = receiver(store)
    points = [number(1, NOW, n=n) for n in range(3)]
    assert (await send(to, gauge("g", *points))).rejected == {ROOM_LATER: 1}
    again = await send(to, gauge("other", number(1, NOW)))
    assert again.later
    store.close()


async def test_where_a_resource_is_told_of_it_can_be_joined(store: MetricStore) -> None:
    body = request(gauge("g", number(1, NOW)), resource={**SHOP, "host.name": "h"})
    to = receiver(store)
    assert (await to.receive(ACME, Sent(body))).samples == 2
    assert held(store, "target_info") == [(0, 1)]
