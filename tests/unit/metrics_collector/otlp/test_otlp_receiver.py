"""What the receiving end of OTLP stores, rejects, counts and remembers."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from otlp_requests import (
    DELTA,
    SHOP,
    counter,
    exponential,
    fixed,
    gauge,
    histogram,
    histograms,
    number,
    request,
)

from tocsin.metrics_collector.arrival import AHEAD, LATE
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.otlp import receiver as room
from tocsin.metrics_collector.otlp.body import LARGEST, Encoding, TooLarge
from tocsin.metrics_collector.otlp.config import OtlpConfig
from tocsin.metrics_collector.otlp.receiver import (
    ROOM_LATER,
    Exported,
    OtlpReceiver,
    Sent,
)
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput, NotDurable
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import Metadata
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = T0.timestamp()
NOW_MS = round(NOW * 1000)
WHO = {"job": "shop", "instance": "a"}


class Hands(Clock):
    """A clock a test moves."""

    def __init__(self) -> None:
        self.at = T0

    def now(self) -> datetime:
        return self.at

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


class End:
    """A receiver and its neighbours."""

    def __init__(self) -> None:
        self.sink = FakeSampleSink()
        self.registry = Registry(version="1")
        self.clock = Hands()
        instruments = MetricInstruments(self.registry)
        self.receiver = OtlpReceiver(self.sink, clock=self.clock, instruments=instruments)

    async def take(self, *metrics: bytes) -> Exported:
        return await self.receiver.receive(ACME, Sent(request(*metrics)))

    def counted(self, name: str, **labels: str) -> float:
        value = self.registry.collectors.get_sample_value(name, {"tenant": ACME, **labels})
        return value or 0.0

    def requests(self, outcome: str, encoding: str = "protobuf") -> float:
        return self.counted("tocsin_otlp_requests_total", outcome=outcome, encoding=encoding)

    def rejected(self, reason: str) -> float:
        return self.counted("tocsin_otlp_data_points_rejected_total", reason=reason)


@pytest.fixture
def end() -> End:
    return End()


async def test_points_are_stored_under_their_tenant(end: End) -> None:
    exported = await end.take(gauge("g", number(1.5, NOW, a="b"), number(2, NOW + 1, a="b")))
    assert exported == Exported(2)
    assert exported.complete
    expected = [(NOW_MS, 1.5), (NOW_MS + 1000, 2)]
    assert end.sink.points(ACME, "g", a="b", **WHO) == expected
    assert OTHER not in end.sink.series
    assert end.requests("stored") == 1
    assert end.counted("tocsin_samples_collected_total", source="otlp") == 2


async def test_samples_may_be_late_by_five_minutes(end: End) -> None:
    await end.take(gauge("g", number(1, NOW)))
    assert end.sink.windows == [LATE]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("encoding", list(Encoding))
async def test_both_encodings_packed_or_not_store_the_same(
    end: End,
    encoding: Encoding,
    packed: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    body = request(gauge("g", number(7, NOW)), resource={})
    if encoding is Encoding.JSON:
        point = {"timeUnixNano": str(round(NOW) * 10**9), "asInt": 7}
        metric = {"name": "g", "gauge": {"dataPoints": [point]}}
        body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    sent = Sent(gzip.compress(body) if packed else body, encoding, gzip=packed)
    assert (await end.receiver.receive(ACME, sent)).complete
    assert end.sink.points(ACME, "g") == [(NOW_MS, 7)]
    assert end.requests("stored", encoding) == 1


async def test_points_of_a_series_are_stored_oldest_first_whatever_their_form(end: End) -> None:
    for minute in range(3):
        at = NOW + 60 * minute
        points = [number(2, at + 1), number(3.0, at + 2), number(1.0, at, exemplars=1)]
        await end.take(gauge("g", *points))
        assert end.sink.values(ACME, "g", **WHO)[-3:] == [1, 2, 3]


async def test_series_are_resolved_once(end: End) -> None:
    for second in range(3):
        await end.take(gauge("g", number(1, NOW + second)))
    assert end.sink.asked == 1
    end.sink.epoch += 1
    await end.take(gauge("g", number(1, NOW + 3)))
    assert end.sink.asked == 2
    assert len(end.sink.points(ACME, "g", **WHO)) == 4


async def test_metadata_is_told_once_and_when_it_changes(end: End) -> None:
    await end.take(counter("c", number(1, NOW), text="Old.", unit="By"))
    assert end.sink.metadata == {(ACME, "c_bytes_total"): Metadata("counter", "Old.", "bytes")}
    end.sink.metadata.clear()
    await end.take(counter("c", number(1, NOW), text="Old.", unit="By"))
    assert end.sink.metadata == {}
    await end.take(counter("c", number(1, NOW), text="New.", unit="By"))
    assert end.sink.metadata == {(ACME, "c_bytes_total"): Metadata("counter", "New.", "bytes")}


async def test_metadata_that_is_told_is_forgotten_when_there_is_much(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_MOST_DESCRIBED", 1)
    for _ in range(2):
        end.sink.metadata.clear()
        await end.take(gauge("a", number(1, NOW)), gauge("b", number(1, NOW)))
        assert len(end.sink.metadata) == 2


async def test_target_info_is_stored_and_no_point(end: End) -> None:
    body = request(gauge("g", number(1, NOW)), resource={**SHOP, "host.name": "h"})
    assert await end.receiver.receive(ACME, Sent(body)) == Exported(2)
    assert end.sink.points(ACME, "target_info", host_name="h", **WHO) == [(NOW_MS, 1)]


async def test_a_resource_none_of_whose_points_was_stored_is_not_told_of(end: End) -> None:
    late = number(1, NOW + AHEAD.total_seconds() + 1)
    body = request(gauge("g", late), resource={**SHOP, "host.name": "h"})
    exported = await end.receiver.receive(ACME, Sent(body))
    assert exported == Exported(0, {"out_of_bounds": 1})
    assert end.sink.series == {}


async def test_points_ahead_of_the_clock_or_without_time_are_rejected(end: End) -> None:
    ahead = NOW + AHEAD.total_seconds()
    nowhen = fixed(3, 0) + fixed(6, 5)
    for _ in range(2):
        exported = await end.take(gauge("g", number(1, ahead), number(2, ahead + 1, a="b"), nowhen))
        assert exported.rejected == {"out_of_bounds": 1, "no_time": 1}
    assert end.rejected("out_of_bounds") == 2
    assert end.requests("partial") == 2


async def test_what_the_store_refuses_is_told_in_points(end: End) -> None:
    end.sink.refuse = {"out_of_order": 5}
    exported = await end.take(histograms("h", histogram([1, 2], [1], NOW, total=1.0)))
    assert exported.rejected == {"out_of_order": 2}
    end.sink.refuse = {"duplicate": 1}
    exported = await end.take(gauge("g", number(1, NOW), number(1, NOW, a="b")))
    assert exported.rejected == {"duplicate": 1}


async def test_exponential_histograms_and_exemplars_are_counted(end: End) -> None:
    exported = await end.take(exponential("e", 3), gauge("g", number(1, NOW, exemplars=2)))
    assert exported.rejected == {"exponential_histogram": 3}
    assert "not stored" in exported.faults["exponential_histogram"]
    assert end.counted("tocsin_native_histograms_refused_total") == 3
    assert end.counted("tocsin_exemplars_dropped_total") == 2
    assert end.rejected("exponential_histogram") == 3


async def test_deltas_are_stored_as_their_sum(end: End) -> None:
    for second, value in enumerate((5, 0, 2)):
        await end.take(
            counter("c", number(value, NOW + second, start_s=NOW), temporality=DELTA),
            histograms("h", histogram([value], [], NOW + second, total=0.5), temporality=DELTA),
        )
    assert end.sink.values(ACME, "c_total", **WHO) == [5, 5, 7]
    assert end.sink.values(ACME, "h_bucket", le="+Inf", **WHO) == [5, 5, 7]
    assert end.sink.values(ACME, "h_sum", **WHO) == [0.5, 1.0, 1.5]
    assert end.counted("tocsin_otlp_delta_series") == 4


async def test_a_delta_out_of_order_is_rejected(end: End) -> None:
    await end.take(counter("c", number(1, NOW + 2), temporality=DELTA))
    exported = await end.take(counter("c", number(1, NOW + 1), temporality=DELTA))
    assert exported.rejected == {"delta_out_of_order": 1}


async def test_a_delta_that_could_not_be_stored_counts_once_when_it_comes_again(end: End) -> None:
    first, second = (
        counter("c", number(value, NOW + value, start_s=NOW), temporality=DELTA) for value in (1, 2)
    )
    await end.take(first)
    end.sink.broken = True
    with pytest.raises(NotDurable):
        await end.take(second)
    assert end.requests("failed") == 1
    end.sink.broken = False
    await end.take(second)
    assert end.sink.values(ACME, "c_total", **WHO) == [1, 3]


async def test_a_request_for_which_there_is_no_room_may_come_again(end: End) -> None:
    barred = Labels.of({METRIC_NAME: "c_total", **WHO})
    metric = counter("c", number(1, NOW, start_s=NOW), temporality=DELTA)
    end.sink.barred[barred] = ROOM_LATER
    exported = await end.take(metric)
    assert exported.later
    end.sink.barred.clear()
    assert (await end.take(metric)).complete
    assert end.sink.values(ACME, "c_total", **WHO) == [1]


async def test_where_something_was_stored_nothing_may_come_again(end: End) -> None:
    end.sink.barred[Labels.of({METRIC_NAME: "a", **WHO})] = ROOM_LATER
    exported = await end.take(gauge("a", number(1, NOW)), gauge("b", number(1, NOW)))
    assert exported.rejected == {ROOM_LATER: 1}
    assert not exported.later


async def test_a_silent_delta_starts_again_after_an_hour(end: End) -> None:
    def metric(second: float) -> bytes:
        return counter("c", number(1, NOW + second), temporality=DELTA)

    await end.take(metric(0))
    end.clock.at += timedelta(hours=1, seconds=1)
    await end.take(metric(3601))
    assert end.sink.values(ACME, "c_total", **WHO) == [1, 1]


async def test_a_new_configuration_gives_new_names_and_leaves_sums_alone(end: End) -> None:
    def metric(second: float) -> bytes:
        return counter("c", number(1, NOW + second), temporality=DELTA)

    for second in range(3):
        await end.take(metric(second))
    end.receiver.configure(ACME, OtlpConfig(promote_resource_attributes=("service.name",)))
    await end.take(metric(3))
    assert end.sink.values(ACME, "c_total", service_name="shop", **WHO) == [1]
    end.receiver.configure(ACME, OtlpConfig())
    await end.take(metric(4))
    assert end.sink.values(ACME, "c_total", **WHO) == [1, 2, 3, 4]


async def test_an_equal_configuration_changes_nothing(end: End) -> None:
    await end.take(gauge("g", number(1, NOW)))
    end.receiver.configure(ACME, OtlpConfig())
    await end.take(gauge("g", number(1, NOW + 1)))
    assert end.sink.asked == 1


async def test_names_are_forgotten_when_there_are_too_many(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.metrics_collector.otlp.streams._ROOM", 3)
    for second in range(3):
        points = [number(1, NOW + second, a=str(n)) for n in range(4)]
        await end.take(counter("c", *points, temporality=DELTA))
    assert end.sink.asked == 12
    assert end.sink.values(ACME, "c_total", a="3", **WHO) == [1, 2, 3]


async def test_a_tenant_that_is_gone_is_forgotten(end: End) -> None:
    end.receiver.configure(ACME, OtlpConfig(promote_resource_attributes=("service.name",)))
    await end.take(gauge("g", number(1, NOW)))
    end.receiver.forget(ACME)
    await end.take(gauge("g", number(1, NOW)))
    assert len(end.sink.points(ACME, "g", **WHO)) == 1
    end.receiver.forget(OTHER)


async def test_tenants_do_not_share_sums(end: End) -> None:
    body = request(counter("c", number(1, NOW), temporality=DELTA))
    for tenant in (ACME, OTHER):
        await end.receiver.receive(tenant, Sent(body))
        assert end.sink.values(tenant, "c_total", **WHO) == [1]


@pytest.mark.parametrize(
    "sent", [Sent(b"\xff"), Sent(b"{"), Sent(b"{", Encoding.JSON), Sent(b"x", gzip=True)]
)
async def test_a_request_that_cannot_be_read_stores_nothing(end: End, sent: Sent) -> None:
    with pytest.raises(InvalidInput):
        await end.receiver.receive(ACME, sent)
    assert end.sink.series == {}
    assert end.requests("malformed", sent.encoding) == 1


async def test_a_body_that_becomes_too_large_is_told_apart(end: End) -> None:
    with pytest.raises(TooLarge):
        await end.receiver.receive(ACME, Sent(gzip.compress(bytes(LARGEST + 1)), gzip=True))


async def test_a_large_request_is_decoded_in_a_thread_and_stored_in_parts(end: End) -> None:
    points = [number(n, NOW, n=n) for n in range(25_000)]
    exported = await end.take(gauge("g", *points))
    assert exported == Exported(25_000)
    assert len(end.sink.windows) == 2
    assert end.sink.values(ACME, "g", n="24999", **WHO) == [24_999]


async def test_an_empty_request_is_complete(end: End) -> None:
    assert await end.take() == Exported(0)
    assert (await end.receiver.receive(ACME, Sent(b""))).complete


async def test_every_bit_of_a_value_reaches_the_store(end: End) -> None:
    odd = np.uint64(0x7FF8_0000_0000_0123).view(np.float64)
    for _ in range(3):
        await end.take(gauge("g", number(float(odd), NOW)))
    values = np.array(end.sink.values(ACME, "g", **WHO))
    assert {int(bits) for bits in values.view(np.uint64)} == {0x7FF8_0000_0000_0123}
