"""What the receiving end stores, refuses, counts and remembers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from write_requests import SecondVersion, metadata, packed, series

from tocsin.metrics_collector.arrival import AHEAD, LATE
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.receiver import Receiver, Written
from tocsin.metrics_collector.remote_write import Version
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput, NotDurable
from tocsin.model.sample import STALE, Metadata, is_stale
from tocsin.model.slots import to_ms
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = to_ms(T0)
UP = {"__name__": "up"}


class Still(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return T0

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


class End:
    """A receiver and its neighbours."""

    def __init__(self) -> None:
        self.sink = FakeSampleSink()
        self.registry = Registry(version="1")
        instruments = MetricInstruments(self.registry)
        self.receiver = Receiver(self.sink, clock=Still(), instruments=instruments)

    async def take(self, *parts: bytes) -> Written:
        return await self.receiver.receive(ACME, packed(parts), Version.V1)

    def counted(self, name: str, **labels: str) -> float:
        value = self.registry.collectors.get_sample_value(name, {"tenant": ACME, **labels})
        return value or 0.0

    def requests(self, outcome: str, version: str = "1.0") -> float:
        name = "tocsin_remote_write_requests_total"
        return self.counted(name, outcome=outcome, version=version)


@pytest.fixture
def end() -> End:
    return End()


async def test_samples_are_stored_under_their_tenant(end: End) -> None:
    written = await end.take(series(UP, (NOW, 1.0), (NOW + 1, STALE)))
    assert written == Written(2)
    first, last = end.sink.points(ACME, "up")
    assert first == (NOW, 1.0)
    assert is_stale(last[1])
    assert OTHER not in end.sink.series
    assert end.sink.windows == [LATE]
    assert end.counted("tocsin_samples_collected_total", source="remote_write") == 2
    assert end.requests("stored") == 1


async def test_the_second_version_is_stored_alike(end: End) -> None:
    built = SecondVersion().add(UP, (NOW, 1.0), described=(2, "Up.", ""))
    written = await end.receiver.receive(ACME, packed(built.built()), Version.V2)
    assert written.complete
    assert end.sink.metadata[ACME, "up"] == Metadata("gauge", "Up.", "")
    assert end.requests("stored", "2.0") == 1


async def test_an_empty_request_is_complete(end: End) -> None:
    assert await end.take() == Written(0)


async def test_samples_far_ahead_of_the_clock_are_refused_alone(end: End) -> None:
    latest = NOW + AHEAD // timedelta(milliseconds=1)
    points = [(NOW, 1.0), (latest, 2.0), (latest + 1, 3.0)]
    written = await end.take(series(UP, *points), series({"__name__": "x"}, (2**62, 1.0)))
    assert written == Written(2, {"out_of_bounds": 2})
    assert end.sink.values(ACME, "up") == [1.0, 2.0]
    reason = {"source": "remote_write", "reason": "out_of_bounds"}
    assert end.counted("tocsin_samples_refused_total", **reason) == 2


async def test_a_tenant_may_allow_samples_to_be_farther_ahead(end: End) -> None:
    end.receiver.configure(ACME, ahead=2 * AHEAD)
    latest = NOW + 2 * AHEAD // timedelta(milliseconds=1)
    assert await end.take(series(UP, (latest, 1.0))) == Written(1)
    end.receiver.forget(ACME)
    assert await end.take(series(UP, (latest + 1, 1.0))) == Written(0, {"out_of_bounds": 1})
    assert end.requests("partial") == 1


async def test_what_the_store_refuses_is_told(end: End) -> None:
    end.sink.refuse = {"duplicate": 1}
    written = await end.take(series(UP, (NOW, 1.0)), series({"job": "a"}, (NOW, 1.0)))
    assert written.refused == {"duplicate": 1, "invalid_labels": 1}
    assert written.fault == "a series has no metric name"
    assert not written.complete


async def test_exemplars_are_dropped_and_histograms_refused(end: End) -> None:
    written = await end.take(series(UP, (NOW, 1.0), exemplars=2))
    assert written.complete
    assert end.counted("tocsin_exemplars_dropped_total") == 2
    written = await end.take(series(UP, (NOW + 1, 1.0), histograms=3))
    assert (written.samples, written.histograms, written.complete) == (1, 3, False)
    assert end.counted("tocsin_native_histograms_refused_total") == 3


async def test_metadata_is_stored(end: End) -> None:
    await end.take(metadata("up", 2, "Up."))
    assert end.sink.metadata == {(ACME, "up"): Metadata("gauge", "Up.", "")}


async def test_metadata_is_told_to_the_store_when_it_is_news(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    for help_text, told in (("Up.", True), ("Up.", False), ("Up!", True)):
        end.sink.metadata.clear()
        await end.take(metadata("up", 2, help_text))
        assert bool(end.sink.metadata) is told
    monkeypatch.setattr("tocsin.metrics_collector.receiver._MOST_DESCRIBED", 1)
    await end.take(metadata("down", 2, ""))
    end.sink.metadata.clear()
    await end.take(metadata("up", 2, "Up!"))
    assert end.sink.metadata  # too much was remembered


@pytest.mark.parametrize("body", [b"", b"junk", packed(b"\x0a\x7f")])
async def test_a_request_that_cannot_be_read_stores_nothing(end: End, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        await end.receiver.receive(ACME, body, Version.V1)
    assert end.sink.series == {}
    assert end.requests("malformed") == 1


async def test_a_store_that_fails_is_not_acknowledged(end: End) -> None:
    end.sink.broken = True
    with pytest.raises(NotDurable):
        await end.take(series(UP, (NOW, 1.0)))
    assert end.requests("failed") == 1


@pytest.mark.looptime(False)
async def test_a_large_request_is_stored_whole(end: End, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.metrics_collector.receiver._AT_ONCE", 2000)
    names = [f"m{n}" for n in range(5000)]
    written = await end.take(*many(names))
    assert written == Written(len(names))
    assert end.sink.names(ACME) == set(names)
    assert len(end.sink.windows) == 3


def many(names: Iterable[str]) -> Iterable[bytes]:
    filler = "x" * 60
    return (series({"__name__": name, "filler": filler}, (NOW, 1.0)) for name in names)


async def test_a_tenant_that_is_gone_is_forgotten(end: End) -> None:
    await end.take(series(UP, (NOW, 1.0)))
    end.receiver.forget(ACME)
    end.receiver.forget(ACME)
    assert (await end.take(series(UP, (NOW + 1, 1.0)))).complete
