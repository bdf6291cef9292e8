"""Writing to a backend: in order, for as long as it takes, within bounds."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tocsin.metrics_collector.backend.config import BackendConfig, BackendKind
from tocsin.metrics_collector.backend.encode import Point
from tocsin.metrics_collector.backend.fakes import FakeBackend
from tocsin.metrics_collector.backend.forward import AT_ONCE, Forwarder
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.way import Way
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import LimitExceeded, NotDurable, Unreachable
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.sample import STALE, is_stale
from tocsin.model.series import Layout
from tocsin.model.tenant import TenantId
from tocsin.telemetry.metrics import Registry

A = TenantId("a")
CONFIG = BackendConfig(
    kind=BackendKind.MIMIR, url="http://m", remote_write_url="http://m/api/v1/push"
)
BUSY = Page(503, {}, b"busy")
REFUSED = Page(400, {}, b"out of order\nsample")


def layout(name: str, count: int = 1) -> Layout:
    if count == 1:
        return Layout(name, (Labels.of({"__name__": name}),))
    return Layout(name, tuple(Labels.of({"__name__": name, "i": str(i)}) for i in range(count)))


class Bench:
    """A forwarder and the backend behind it."""

    def __init__(self, *, capacity: int = 10_000) -> None:
        self.backend = FakeBackend()
        self.registry = Registry(version="0")
        self.forwarder = Forwarder(
            A,
            Way.of(A, CONFIG, self.backend),
            capacity=capacity,
            instruments=BackendInstruments(self.registry),
            rng=lambda: 1.0,
        )

    def put(self, name: str, ts_ms: int, value: float = 1.0, *, count: int = 1) -> None:
        self.forwarder.put(layout(name, count), ts_ms, np.full(count, value))

    def points(self, name: str) -> list[Point]:
        return self.backend.points("a", name).get(EMPTY, [])

    def count(self, outcome: str) -> float:
        labels = {"tenant": "a", "outcome": outcome}
        name = "tocsin_backend_write_samples_total"
        return self.registry.collectors.get_sample_value(name, labels) or 0.0

    def waiting(self) -> float | None:
        name = "tocsin_backend_write_queue_samples"
        return self.registry.collectors.get_sample_value(name, {"tenant": "a"})


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    made.forwarder.start()
    return made


async def end(bench: Bench) -> None:
    await bench.forwarder.close(within_s=60)


async def test_samples_arrive_in_order_under_the_tenant(bench: Bench) -> None:
    for ts_ms in (1, 2, 3):
        bench.put("m", ts_ms, float(ts_ms))
    await end(bench)
    assert bench.points("m") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert bench.backend.asked[0].url == "http://m/api/v1/push"
    assert bench.backend.asked[0].headers["Content-Encoding"] == "snappy"
    assert (bench.count("sent"), bench.waiting()) == (3, 0)


async def test_a_marker_that_ends_a_series_arrives(bench: Bench) -> None:
    bench.put("m", 1, STALE)
    await end(bench)
    ((_, value),) = bench.points("m")
    assert is_stale(value)


async def test_what_comes_together_is_written_together_but_not_too_much_at_once(
    bench: Bench,
) -> None:
    bench.put("one", 1)
    bench.put("two", 1)
    bench.put("many", 1, count=AT_ONCE + 1)
    await end(bench)
    assert len(bench.backend.asked) == 3
    assert len(bench.backend.points("a", "many")) == AT_ONCE + 1


@pytest.mark.parametrize("trouble", [BUSY, Page(429, {}, b""), Unreachable("away")])
async def test_a_backend_that_is_away_gets_it_later(
    bench: Bench, trouble: Page | Unreachable
) -> None:
    bench.backend.next.extend([trouble] * 4)
    bench.put("m", 1)
    bench.put("m", 2)
    await end(bench)
    assert [ts for ts, _ in bench.points("m")] == [1, 2]
    assert bench.count("sent") == 2
    retries = "tocsin_backend_write_retries_total"
    assert bench.registry.collectors.get_sample_value(retries, {"tenant": "a"}) == 4


async def test_it_waits_longer_each_time_and_as_long_as_it_is_asked_to(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    bench.backend.next.extend([BUSY, BUSY, Page(429, {"retry-after": "7"}, b""), BUSY])
    began = loop.time()
    bench.put("m", 1)
    await end(bench)
    assert loop.time() - began == pytest.approx(0.5 + 1 + 7 + 4)


async def test_what_is_refused_for_good_is_dropped_and_told_at_the_next_write(
    bench: Bench,
) -> None:
    bench.backend.next.append(REFUSED)
    bench.put("m", 1)
    bench.put("other", 1)
    await bench.forwarder.settled(None)
    with pytest.raises(NotDurable, match="tenant a: samples refused: HTTP 400: out of order"):
        bench.put("m", 2)
    bench.put("m", 3)
    await end(bench)
    assert [ts for ts, _ in bench.points("m")] == [2, 3]
    assert (bench.count("rejected"), bench.count("sent")) == (2, 2)


async def test_a_full_queue_refuses_the_newest() -> None:
    bench = Bench(capacity=5)
    bench.put("m", 1, count=4)
    with pytest.raises(NotDurable, match="4 samples wait to be written, no room"):
        bench.put("m", 2, count=2)
    bench.put("m", 3)
    assert (bench.count("dropped"), bench.waiting()) == (2, 5)


async def test_it_is_settled_once_what_is_read_was_written(bench: Bench) -> None:
    bench.backend.takes_s = 2
    loop = asyncio.get_running_loop()
    began = loop.time()
    bench.put("m", 1)
    await bench.forwarder.settled(frozenset({"other"}))
    assert loop.time() == began
    await bench.forwarder.settled(frozenset({"m", "x"}))
    assert bench.points("m") == [(1, 1.0)]
    await bench.forwarder.settled(frozenset({"m"}))
    await end(bench)


async def test_who_reads_what_cannot_be_written_is_told_at_once(bench: Bench) -> None:
    bench.backend.next.extend([BUSY] * 20)
    bench.put("m", 1)
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        with pytest.raises(Unreachable, match="still to be written: HTTP 503: busy"):
            await bench.forwarder.settled(frozenset({"m"}))
    assert asyncio.get_running_loop().time() == pytest.approx(began, abs=0.01)
    assert len(bench.backend.asked) == 10, "who reads hurries it on"
    bench.backend.next.clear()
    await bench.forwarder.settled(frozenset({"m"}))
    assert bench.points("m") == [(1, 1.0)]


async def test_who_reads_does_not_hurry_a_backend_that_asked_for_a_pause(bench: Bench) -> None:
    bench.backend.next.append(Page(429, {"retry-after": "20"}, b""))
    bench.put("m", 1)
    for _ in range(3):
        with pytest.raises(Unreachable, match="HTTP 429"):
            await bench.forwarder.settled(None)
    assert len(bench.backend.asked) == 1
    await asyncio.sleep(21)
    await bench.forwarder.settled(None)


async def test_who_reads_does_not_wait_for_ever(bench: Bench) -> None:
    bench.backend.takes_s = 100
    bench.put("n", 1)
    with pytest.raises(Unreachable, match="no answer in time"):
        await bench.forwarder.settled(frozenset({"n"}))
    await bench.forwarder.close(within_s=0)


async def test_what_still_waits_at_the_end_is_counted(bench: Bench) -> None:
    bench.backend.next.extend([Unreachable("away")] * 100)
    bench.put("m", 1, count=7)
    await bench.forwarder.close(within_s=3)
    await bench.forwarder.close(within_s=3)
    assert (bench.count("dropped"), bench.waiting()) == (7, 0)


async def test_the_way_may_change_while_something_waits(bench: Bench) -> None:
    bench.backend.next.extend([Page(429, {"retry-after": "5"}, b"")])
    bench.put("m", 1)
    await asyncio.sleep(1)
    other = FakeBackend()
    bench.forwarder.way = Way.of(A, CONFIG, other)
    await end(bench)
    assert other.points("a", "m") == {EMPTY: [(1, 1.0)]}


async def test_a_reply_of_endless_length_is_an_outage(bench: Bench) -> None:
    bench.backend.next.append(LimitExceeded("over 65536 bytes"))
    bench.put("m", 1)
    await end(bench)
    assert bench.points("m") == [(1, 1.0)]


async def test_samples_that_cannot_be_encoded_do_not_stop_the_others(bench: Bench) -> None:
    broken = Layout("broken", (Labels.of({"__name__": "\udcff"}),))
    bench.forwarder.put(broken, 1, np.array([1.0]))
    await bench.forwarder.settled(None)
    bench.put("m", 1)
    await end(bench)
    assert bench.points("m") == [(1, 1.0)]
    assert bench.count("dropped") == 1
