"""What an OTLP request in protobuf holds: series under their names, and points not taken."""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otlp_requests import (
    DELTA,
    NO_VALUE,
    SECOND,
    SHOP,
    attributes,
    chunk,
    counter,
    double,
    exponential,
    figure,
    fixed,
    gauge,
    histogram,
    histograms,
    number,
    request,
    summaries,
    summary,
)

from tocsin.metrics_collector.otlp.config import OtlpConfig, TranslationStrategy
from tocsin.metrics_collector.otlp.points import Block, Request
from tocsin.metrics_collector.otlp.reader import MOST_METRICS, read
from tocsin.metrics_collector.otlp.streams import Directory
from tocsin.metrics_collector.write_request import MOST_SAMPLES
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import Metadata, is_stale

Samples = dict[str, list[tuple[float, float]]]


def samples(found: Request, known: Directory, *, delta: bool = False) -> Samples:
    """Return the samples of each series, by what it looks like; times in seconds."""
    held: Samples = defaultdict(list)
    for block in found.blocks:
        if block.delta == delta:
            _add(held, block, known)
    return {name: sorted(points) for name, points in held.items()}


def _add(held: Samples, block: Block, known: Directory) -> None:
    for row, nanos, values in zip(block.slots, block.nanos, block.values, strict=True):
        for slot, value in zip(row.tolist(), values.tolist(), strict=True):
            held[str(known.series.labels[slot])].append((int(nanos) / SECOND, value))


def informed(found: Request, known: Directory) -> Samples:
    held: Samples = defaultdict(list)
    if found.info is not None:
        _add(held, found.info, known)
    return dict(held)


def taken(*bodies: bytes, config: OtlpConfig | None = None) -> Samples:
    """Return what the last of these requests holds, read by one reader after the other."""
    known = Directory(config or OtlpConfig())
    found = [read(body, known) for body in bodies]
    assert not found[-1].rejected
    return samples(found[-1], known)


def test_a_gauge_is_a_series_under_its_job_and_instance() -> None:
    body = request(gauge("queue.length", number(7.5, 60, route="/a"), unit="{task}"))
    assert taken(body) == {
        '{__name__="queue_length", instance="a", job="shop", route="/a"}': [(60, 7.5)]
    }


def test_whole_numbers_and_floats_stand_beside_each_other() -> None:
    points = (number(2**53, 1), number(-3, 2), number(0.25, 3))
    ((_, found),) = taken(request(gauge("x", *points))).items()
    assert found == [(1, 2.0**53), (2, -3.0), (3, 0.25)]


def test_the_second_request_gives_what_the_first_gave() -> None:
    metrics = (
        gauge("g", number(1.0, 1, a="1"), number(2, 1, a="2")),
        counter("c", number(3, 1, start_s=0.5, a="1"), number(4.0, 1, start_s=0.5)),
        histograms("h", histogram([1, 2], [0.5], 1, total=2.0, start_s=0.5, extremes=(0, 1))),
        histograms("i", histogram([1, 2], [0.5], 1, total=2.0, start_s=0.5, b="3")),
        summaries("s", summary(2, 3.0, {0.5: 1.0}, 1)),
    )
    body = request(*metrics)
    once, twice, often = (taken(*[body] * count) for count in (1, 2, 4))
    assert once == twice == often
    assert len(once) == 2 + 2 + 4 + 4 + 3


def test_a_sum_that_only_rises_is_a_counter() -> None:
    body = request(
        counter("requests", number(5, 1), unit="1", text="How many."),
        counter("connections", number(-1, 1), rises=False),
    )
    known = Directory(OtlpConfig())
    found = read(body, known)
    assert set(samples(found, known)) == {
        '{__name__="requests_total", instance="a", job="shop"}',
        '{__name__="connections", instance="a", job="shop"}',
    }
    assert found.metadata == {
        "requests_total": Metadata("counter", "How many.", ""),
        "connections": Metadata("gauge"),
    }


def test_a_histogram_is_cumulative_buckets_count_and_sum() -> None:
    body = request(
        histograms("d", histogram([1, 0, 4], [0.5, 10], 9, total=21.5, code=200), unit="s")
    )
    same = 'code="200", instance="a", job="shop"'
    assert taken(body) == {
        f'{{__name__="d_seconds_bucket", code="200", instance="a", job="shop", le="{le}"}}': [
            (9, n)
        ]
        for le, n in (("0.5", 1), ("10.0", 1), ("+Inf", 5))
    } | {
        f'{{__name__="d_seconds_count", {same}}}': [(9, 5)],
        f'{{__name__="d_seconds_sum", {same}}}': [(9, 21.5)],
    }


def test_a_histogram_without_sum_has_none() -> None:
    names = taken(request(histograms("d", histogram([1, 2], [1], 9))))
    assert [name for name in names if "sum" in name] == []
    assert len(names) == 3


def test_a_histogram_without_buckets_has_the_one_that_holds_everything() -> None:
    found = taken(request(histograms("d", fixed(3, SECOND) + fixed(4, 3) + double(5, 1.5))))
    assert [points[0][1] for _, points in sorted(found.items())] == [3, 3, 1.5]


def test_buckets_may_come_unpacked() -> None:
    bare = fixed(3, SECOND) + fixed(4, 3) + double(5, 1.5)
    loose = bare + fixed(6, 1) + fixed(6, 2) + double(7, 0.5)
    packed = bare + chunk(6, struct.pack("<2Q", 1, 2)) + chunk(7, struct.pack("<d", 0.5))
    assert taken(request(histograms("d", loose))) == taken(request(histograms("d", packed)))


def test_a_histogram_of_other_bounds_is_other_series_of_the_same_metric() -> None:
    known = Directory(OtlpConfig())
    read(request(histograms("d", histogram([1, 2], [1], 1, total=1.0, start_s=1))), known)
    body = request(histograms("d", histogram([1, 2], [2], 2, total=1.0, start_s=1)))
    found = samples(read(body, known), known)
    assert 'le="2.0"' in "".join(found)
    assert 'le="1.0"' not in "".join(found)


def test_more_buckets_than_bounds_never_take_the_series_of_others() -> None:
    known = Directory(OtlpConfig())
    read(request(histograms("d", histogram([1, 2], [1], 1, total=1.0, start_s=1))), known)
    found = read(
        request(histograms("d", histogram([1, 2, 3], [1], 2, total=1.0, start_s=1))), known
    )
    assert found.rejected == {"malformed_histogram": 1}
    assert "3 buckets and 1 bounds" in found.faults["malformed_histogram"]


@pytest.mark.parametrize("bounds", [[2, 1], [1, 1], [1, float("inf")], [float("nan"), 1]])
def test_bounds_ascend_and_are_finite(bounds: list[float]) -> None:
    found = read(request(histograms("d", histogram([1, 2, 3], bounds, 1))), Directory(OtlpConfig()))
    assert found.rejected == {"malformed_histogram": 1}


def test_sixteen_buckets_take_a_longer_size_and_give_the_same() -> None:
    for count in (15, 16, 17):
        point = histogram([1] * count, list(range(count - 1)), 3, total=4.5, start_s=1, a="b")
        body = request(histograms("d", point))
        first, again = taken(body), taken(body, body)
        assert first == again
        assert again['{__name__="d_sum", a="b", instance="a", job="shop"}'] == [(3, 4.5)]
        assert len(again) == count + 2


def test_a_summary_is_quantiles_count_and_sum() -> None:
    body = request(summaries("d", summary(4, 8.5, {0.5: 1.0, 1.0: 3.0}, 2, a="b"), unit="ms"))
    assert taken(body) == {
        '{__name__="d_milliseconds", a="b", instance="a", job="shop", quantile="0.5"}': [(2, 1)],
        '{__name__="d_milliseconds", a="b", instance="a", job="shop", quantile="1.0"}': [(2, 3)],
        '{__name__="d_milliseconds_count", a="b", instance="a", job="shop"}': [(2, 4)],
        '{__name__="d_milliseconds_sum", a="b", instance="a", job="shop"}': [(2, 8.5)],
    }


def test_no_recorded_value_ends_the_series() -> None:
    ended = (
        gauge("g", number(None, 5, flags=NO_VALUE)),
        counter("c", number(1, 5, flags=NO_VALUE), temporality=DELTA),
        histograms("h", histogram([], [], 5, flags=NO_VALUE), temporality=DELTA),
        summaries("s", summary(0, 0, {0.5: 0}, 5, flags=NO_VALUE)),
    )
    found = taken(request(*ended))
    assert len(found) == 1 + 1 + 2 + 3
    assert all(is_stale(value) for points in found.values() for _, value in points)


def test_deltas_are_told_apart() -> None:
    known = Directory(OtlpConfig())
    body = request(
        counter("c", number(1, 1, start_s=0), temporality=DELTA),
        histograms("h", histogram([1], [], 1, total=1.0, start_s=0), temporality=DELTA),
        gauge("g", number(1, 1)),
    )
    for _ in range(3):
        found = read(body, known)
        assert len(samples(found, known)) == 1
        assert len(samples(found, known, delta=True)) == 4


@pytest.mark.parametrize("temporality", [0, 3])
def test_a_temporality_nobody_knows_is_rejected(temporality: int) -> None:
    body = request(counter("c", number(1, 1), number(2, 1, a="b"), temporality=temporality))
    found = read(body, Directory(OtlpConfig()))
    assert found.rejected == {"unknown_temporality": 2}


def test_exponential_histograms_are_rejected_and_the_rest_is_taken() -> None:
    known = Directory(OtlpConfig())
    found = read(request(exponential("e", 3), gauge("g", number(1, 1))), known)
    assert found.rejected == {"exponential_histogram": 3}
    assert found.histograms == 3
    assert "e: exponential histograms are not stored" in found.faults["exponential_histogram"]
    assert len(samples(found, known)) == 1


@pytest.mark.parametrize(
    ("point", "reason"),
    [(number(1), "no_time"), (number(None, 1), "no_value"), (b"", "no_time")],
)
def test_a_point_without_time_or_value_is_rejected(point: bytes, reason: str) -> None:
    found = read(request(gauge("g", point, number(1, 1))), Directory(OtlpConfig()))
    assert found.rejected == {reason: 1}
    assert found.blocks[0].values.tolist() == [[1.0]]


def test_exemplars_are_counted_and_their_points_taken() -> None:
    body = request(
        counter("c", number(1.0, 1, start_s=0, exemplars=2), number(1, 2, exemplars=1)),
        histograms("h", histogram([1], [], 1, total=1.0, start_s=0, exemplars=3)),
    )
    known = Directory(OtlpConfig())
    for _ in range(3):
        found = read(body, known)
        assert found.exemplars == 6
        assert len(samples(found, known)) == 4


def test_attributes_that_become_one_label_are_joined() -> None:
    point = chunk(1, fixed(3, SECOND) + fixed(6, 1) + attributes(7, {"a.b": "2", "a-b": "1"}))
    body = request(_raw_gauge(point))
    assert list(taken(body)) == ['{__name__="g", a_b="1;2", instance="a", job="shop"}']


def _raw_gauge(points: bytes) -> bytes:
    return chunk(1, b"g") + chunk(5, points)


def test_the_order_of_attributes_means_nothing() -> None:
    known = Directory(OtlpConfig())
    for first, second in (("a", "b"), ("b", "a")):
        point = fixed(3, SECOND) + fixed(6, 1) + attributes(7, {first: first, second: second})
        read(request(gauge("g", point)), known)
    assert sum('"g"' in str(labels) for labels in known.series.labels) == 1


def test_job_and_instance_are_those_of_the_resource() -> None:
    resource = {**SHOP, "service.namespace": "eu"}
    body = request(gauge("g", number(1, 1, job="x", instance="y", __name__="z")), resource=resource)
    assert list(taken(body)) == ['{__name__="g", instance="a", job="eu/shop"}']


def test_a_resource_that_says_nothing_gives_no_job() -> None:
    assert list(taken(request(gauge("g", number(1, 1)), resource={}))) == ['{__name__="g"}']
    without = chunk(1, chunk(2, chunk(2, gauge("g", number(1, 1)))))
    assert list(taken(without)) == ['{__name__="g"}']


def test_other_attributes_of_a_resource_stand_in_target_info() -> None:
    resource = {**SHOP, "host.name": "h1", "process.pid": 7}
    body = request(gauge("g", number(1, 60), number(1, 61, a="b")), resource=resource)
    for times in (1, 2, 4):
        known = Directory(OtlpConfig())
        found = [read(body, known) for _ in range(times)][-1]
        ((name, points),) = informed(found, known).items()
        assert name == (
            '{__name__="target_info", host_name="h1", instance="a", job="shop", process_pid="7"}'
        )
        assert points[-1] == (61, 1.0)


@pytest.mark.parametrize("resource", [SHOP, {"host.name": "h1"}, {}])
def test_target_info_needs_who_it_is_and_something_to_tell(resource: dict[str, Any]) -> None:
    known = Directory(OtlpConfig())
    assert read(request(gauge("g", number(1, 1)), resource=resource), known).info is None


def test_target_info_covers_the_times_of_the_points() -> None:
    resource = {**SHOP, "host.name": "h1"}
    body = request(gauge("g", number(1, 10)), gauge("h", number(1, 1000)), resource=resource)
    known = Directory(OtlpConfig())
    ((_, points),) = informed(read(body, known), known).items()
    assert [at for at, _ in points] == [700, 850, 1000]


def test_a_resource_without_points_tells_nothing() -> None:
    resource = {**SHOP, "host.name": "h1"}
    assert read(request(resource=resource), Directory(OtlpConfig())).info is None


def test_resource_attributes_can_be_promoted() -> None:
    config = OtlpConfig(promote_resource_attributes=("host.name", "zone", "gone"))
    resource = {**SHOP, "host.name": "h1", "zone": "eu", "pid": 1}
    body = request(gauge("g", number(1, 1, zone="mine")), resource=resource)
    known = Directory(config)
    found = read(body, known)
    assert list(samples(found, known)) == [
        '{__name__="g", host_name="h1", instance="a", job="shop", zone="mine"}'
    ]
    assert list(informed(found, known)) == [
        '{__name__="target_info", host_name="h1", instance="a", job="shop", pid="1", zone="eu"}'
    ]


def test_all_resource_attributes_can_be_promoted_but_some() -> None:
    config = OtlpConfig(promote_all_resource_attributes=True, ignore_resource_attributes=("pid",))
    resource = {**SHOP, "host.name": "h1", "pid": 1}
    assert list(taken(request(gauge("g", number(1, 1)), resource=resource), config=config)) == [
        '{__name__="g", host_name="h1", instance="a", job="shop", '
        'service_instance_id="a", service_name="shop"}'
    ]


def test_identifying_attributes_can_stay_in_target_info() -> None:
    known = Directory(OtlpConfig(keep_identifying_resource_attributes=True))
    body = request(gauge("g", number(1, 1)), resource={**SHOP, "pid": 1})
    assert list(informed(read(body, known), known)) == [
        '{__name__="target_info", instance="a", job="shop", pid="1", '
        'service_instance_id="a", service_name="shop"}'
    ]


def test_the_scope_becomes_labels_where_it_is_asked_for() -> None:
    body = request(
        gauge("g", number(1, 1)),
        scope="lib",
        version="1.2",
        schema="https://schema",
        scope_attributes={"team.name": "x"},
    )
    assert list(taken(body)) == ['{__name__="g", instance="a", job="shop"}']
    assert list(taken(body, config=OtlpConfig(promote_scope_metadata=True))) == [
        '{__name__="g", instance="a", job="shop", otel_scope_name="lib", '
        'otel_scope_schema_url="https://schema", otel_scope_team_name="x", '
        'otel_scope_version="1.2"}'
    ]


def test_a_scope_without_a_name_adds_nothing() -> None:
    body = request(gauge("g", number(1, 1)), version="1.2")
    config = OtlpConfig(promote_scope_metadata=True)
    assert list(taken(body, config=config)) == ['{__name__="g", instance="a", job="shop"}']


def test_names_can_stay_as_they_are() -> None:
    config = OtlpConfig(translation_strategy=TranslationStrategy.AS_SENT)
    body = request(
        counter(
            "http.requests",
            fixed(3, SECOND) + fixed(6, 1) + attributes(7, {"http.route": "/"}),
            unit="1",
        )
    )
    assert list(taken(body, config=config)) == [
        '{__name__="http.requests", http.route="/", instance="a", job="shop"}'
    ]


@pytest.mark.parametrize(
    "metric",
    [
        gauge("@@", number(1, 1), number(2, 1)),
        gauge("", number(1, 1), number(2, 1)),
        chunk(1, b"\xff") + chunk(5, chunk(1, number(1, 1)) + chunk(1, number(2, 1))),
        gauge("g", number(1, 1, ようこそ="x"), number(1, 2, ようこそ="x")),
    ],
)
def test_names_of_which_nothing_is_left_are_rejected(metric: bytes) -> None:
    found = read(request(metric), Directory(OtlpConfig()))
    assert found.rejected == {"invalid_labels": 2}


@pytest.mark.parametrize(
    "body",
    [
        request(gauge("g", number(1, 1)), resource={"ようこそ": "x", **SHOP, "a": 1}),
        chunk(
            1, chunk(1, chunk(1, chunk(1, b"\xff"))) + chunk(2, chunk(2, gauge("g", number(1, 1))))
        ),
        chunk(1, chunk(2, chunk(1, chunk(1, b"\xff")) + chunk(2, gauge("g", number(1, 1))))),
    ],
)
def test_the_points_of_a_resource_or_scope_that_is_none_are_rejected(body: bytes) -> None:
    found = read(body, Directory(OtlpConfig()))
    assert found.rejected == {"invalid_labels": 1}


def test_the_scope_after_a_broken_one_is_taken() -> None:
    metrics = chunk(2, gauge("g", number(1, 1)))
    scopes = chunk(2, chunk(1, chunk(1, b"\xff")) + metrics) + chunk(2, metrics)
    found = read(chunk(1, scopes), Directory(OtlpConfig()))
    assert found.rejected == {"invalid_labels": 1}
    assert sum(map(len, found.blocks)) == 1


def test_fields_may_stand_in_any_order() -> None:
    point = attributes(7, {"a": "b"}) + fixed(6, 3) + fixed(3, SECOND) + fixed(2, 1)
    data = figure(3, 1) + chunk(1, point) + figure(2, 2)
    metric = chunk(7, data) + chunk(3, b"By") + chunk(1, b"x")
    scope = chunk(2, metric) + chunk(1, chunk(1, b"lib"))
    body = chunk(1, chunk(2, scope) + chunk(1, attributes(1, SHOP)))
    expected = {'{__name__="x_bytes_total", a="b", instance="a", job="shop"}': [(1, 3)]}
    assert taken(body) == expected
    assert taken(body, body, body) == expected
    assert taken(request(counter("x", point, unit="By")), body) == expected


def test_fields_nobody_knows_are_skipped() -> None:
    odd = chunk(99, b"?") + fixed(13, 1) + figure(97, 1)
    point = number(1, 1) + odd
    metric = chunk(1, b"x") + chunk(12, b"?") + chunk(5, chunk(1, point) + odd) + odd
    body = chunk(1, chunk(2, chunk(2, metric) + odd) + odd) + odd
    assert taken(body) == {'{__name__="x"}': [(1, 1)]}


def test_a_metric_without_data_is_nothing() -> None:
    found = read(request(chunk(1, b"x"), b""), Directory(OtlpConfig()))
    assert (found.blocks, found.rejected) == ([], {})


def test_an_empty_request_holds_nothing() -> None:
    found = read(b"", Directory(OtlpConfig()))
    assert (found.blocks, found.info) == ([], None)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x08\x01",
        chunk(1, b"\x08\x01"),
        chunk(1, chunk(2, b"\x08\x01")),
        chunk(1, chunk(2, chunk(2, b"\x08\x01"))),
        request(chunk(1, b"x") + chunk(5, b"\x08\x01")),
        request(chunk(1, b"x") + chunk(5, b"\x0a\x7f")),
        request(chunk(1, b"x") + chunk(5, chunk(1, b"\x1a\x00"))),
        request(chunk(1, b"x") + chunk(9, chunk(1, fixed(3, 1) + chunk(6, b"1")) + b"\x10\x02")),
        request(chunk(1, b"x") + b"\x2a\x7f"),
        request(b"\x0a\x7f"),
    ],
)
def test_a_broken_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read(body, Directory(OtlpConfig()))


def test_there_is_a_most_of_samples_in_a_request() -> None:
    points = chunk(1, number(1, 1)) * (MOST_SAMPLES + 1)
    with pytest.raises(InvalidInput, match="samples"):
        read(request(_raw_gauge(points)), Directory(OtlpConfig()))


def test_there_is_a_most_of_metrics_in_a_request() -> None:
    body = chunk(1, chunk(2, chunk(2, b"") * (MOST_METRICS + 1)))
    with pytest.raises(InvalidInput, match="metrics"):
        read(body, Directory(OtlpConfig()))


def test_there_is_a_most_of_fields_in_a_request() -> None:
    points = chunk(1, fixed(3, 1) + b"\x08\x01" * 500_000) * 5
    with pytest.raises(InvalidInput, match="fields"):
        read(request(_raw_gauge(points)), Directory(OtlpConfig()))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    known = Directory(OtlpConfig())
    for _ in range(3):
        try:
            read(body, known)
        except InvalidInput:
            return


def test_a_request_with_any_byte_changed_is_read_or_refused() -> None:
    good = request(
        gauge("g", number(1.5, 1, a="b"), number(2, 2)),
        histograms("h", histogram([1, 2], [1], 3, total=1.0, start_s=1, extremes=(0, 9))),
        summaries("s", summary(1, 1, {0.5: 1}, 2)),
        resource={**SHOP, "x": [1, {"y": True}]},
        scope="lib",
    )
    known = Directory(OtlpConfig(promote_scope_metadata=True))
    for _ in range(3):
        read(good, known)
    for at in range(len(good)):
        for byte in (0, 1, 0x7F, 0x80, 0xFF, good[at] ^ 1):
            try:
                read(good[:at] + bytes([byte]) + good[at + 1 :], known)
            except InvalidInput:
                continue
