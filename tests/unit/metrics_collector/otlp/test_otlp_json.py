"""OTLP in JSON says what the same request in protobuf says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otlp_requests import (
    DELTA,
    counter,
    exponential,
    gauge,
    histogram,
    histograms,
    number,
    request,
    summaries,
    summary,
)

from tocsin.metrics_collector.otlp.body import TooLarge
from tocsin.metrics_collector.otlp.config import OtlpConfig
from tocsin.metrics_collector.otlp.json_form import LARGEST_JSON, as_protobuf
from tocsin.metrics_collector.otlp.points import Request
from tocsin.metrics_collector.otlp.reader import read
from tocsin.metrics_collector.otlp.streams import Directory
from tocsin.model.errors import InvalidInput

SHOP = [
    {"key": "service.name", "value": {"stringValue": "shop"}},
    {"key": "service.instance.id", "value": {"stringValue": "a"}},
]


def written(*metrics: dict[str, Any], **scope: Any) -> bytes:
    told = {"resource": {"attributes": SHOP}, "scopeMetrics": [{"metrics": list(metrics), **scope}]}
    return json.dumps({"resourceMetrics": [told]}).encode()


def taken(body: bytes) -> dict[str, Any]:
    known = Directory(OtlpConfig(promote_scope_metadata=True))
    return _held(read(body, known), known)


def _held(found: Request, known: Directory) -> dict[str, Any]:
    return {
        str(known.series.labels[slot]): (int(nanos), repr(value), block.delta)
        for block in found.blocks
        for row, nanos, values in zip(block.slots, block.nanos, block.values, strict=True)
        for slot, value in zip(row.tolist(), values.tolist(), strict=True)
    }


def same(body: bytes, expected: bytes) -> bool:
    assert taken(expected)
    return taken(as_protobuf(body)) == taken(expected)


def gauge_of(**point: Any) -> dict[str, Any]:
    return {"name": "g", "gauge": {"dataPoints": [{"timeUnixNano": "1000000000", **point}]}}


def test_a_gauge() -> None:
    body = written(gauge_of(asDouble=1.5, attributes=[{"key": "a", "value": {"stringValue": "ü"}}]))
    assert same(body, request(gauge("g", number(1.5, 1, a="ü"))))


def test_whole_numbers_of_64_bits_may_be_text() -> None:
    expected = request(gauge("g", number(-(2**62) - 1, 1)))
    for value in (str(-(2**62) - 1), -(2**62) - 1):
        assert same(written(gauge_of(asInt=value)), expected)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1.5e3"])
def test_floats_may_be_text(text: str) -> None:
    expected = request(gauge("g", number(float(text), 1)))
    assert same(written(gauge_of(asDouble=text)), expected)


@pytest.mark.parametrize("temporality", [1, "AGGREGATION_TEMPORALITY_DELTA"])
def test_enumerations_are_names_or_numbers(temporality: str | int) -> None:
    told = {"aggregationTemporality": temporality, "isMonotonic": True}
    point = {"timeUnixNano": 10**9, "asInt": "3", "startTimeUnixNano": "0"}
    body = written({"name": "c", "sum": {"dataPoints": [point], **told}})
    assert same(body, request(counter("c", number(3, 1), temporality=DELTA)))


def test_a_histogram() -> None:
    point = {
        "timeUnixNano": "1000000000",
        "count": "3",
        "sum": 4.5,
        "bucketCounts": ["1", 2],
        "explicitBounds": [0.5],
        "min": 0,
        "max": 9,
    }
    told = {"dataPoints": [point], "aggregationTemporality": 2}
    body = written({"name": "h", "unit": "s", "description": "d", "histogram": told})
    made = histogram([1, 2], [0.5], 1, total=4.5, extremes=(0, 9))
    assert same(body, request(histograms("h", made, unit="s", text="d")))


def test_a_summary() -> None:
    point = {
        "timeUnixNano": "1000000000",
        "count": 2,
        "sum": "3",
        "quantileValues": [{"quantile": 0.5, "value": 1}, {"quantile": 1, "value": "NaN"}],
    }
    body = written({"name": "s", "summary": {"dataPoints": [point]}})
    made = summary(2, 3.0, {0.5: 1.0, 1.0: float("nan")}, 1)
    assert same(body, request(summaries("s", made)))


def test_exponential_histograms_are_counted_to_be_rejected() -> None:
    body = written({"name": "e", "exponentialHistogram": {"dataPoints": [{"scale": 1}, {}]}})
    found = read(as_protobuf(body), Directory(OtlpConfig()))
    expected = read(request(exponential("e", 2)), Directory(OtlpConfig()))
    assert found.rejected == expected.rejected == {"exponential_histogram": 2}


def test_exemplars_are_counted_and_their_ids_left_alone() -> None:
    exemplar = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}
    found = read(
        as_protobuf(written(gauge_of(asInt=1, exemplars=[exemplar]))), Directory(OtlpConfig())
    )
    assert (found.exemplars, found.samples) == (1, 1)


def test_the_flag_that_ends_a_series() -> None:
    body = written(gauge_of(flags=1))
    assert same(body, request(gauge("g", number(None, 1, flags=1))))
    assert same(written(gauge_of(flags=0, asInt=1)), request(gauge("g", number(1, 1))))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"boolValue": True}, True),
        ({"intValue": "-5"}, -5),
        ({"doubleValue": 0.5}, 0.5),
        ({"bytesValue": "AP8="}, b"\x00\xff"),
        ({"bytesValue": "_-8="}, b"\xff\xef"),
        ({"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": 1}]}}, ["x", 1]),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": False}}]}}, {"k": False}),
        ({"stringValue": None}, ""),
    ],
)
def test_attributes_of_every_kind(value: dict[str, Any], expected: Any) -> None:
    body = written(gauge_of(asInt=1, attributes=[{"key": "a", "value": value}]))
    assert same(body, request(gauge("g", number(1, 1, a=expected))))


def test_scope_and_schema() -> None:
    scope = {"name": "lib", "version": "2", "attributes": SHOP[:1], "droppedAttributesCount": 1}
    body = written(gauge_of(asInt=1), scope=scope, schemaUrl="s")
    expected = request(
        gauge("g", number(1, 1)),
        scope="lib",
        version="2",
        schema="s",
        scope_attributes={"service.name": "shop"},
    )
    assert same(body, expected)


def test_unknown_keys_are_skipped() -> None:
    body = json.loads(written(gauge_of(asInt=1, more={"deep": [1]}), more=1))
    assert same(json.dumps({**body, "more": []}).encode(), request(gauge("g", number(1, 1))))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b'{"resourceMetrics": {}}',
        b'{"resourceMetrics": [' + b"[" * 2_000,
        written(gauge_of(asInt="1_000")),
        written(gauge_of(asInt=1.5)),
        written(gauge_of(asDouble="much")),
        written(gauge_of(asInt=1, attributes=[{"key": "a", "value": {"bytesValue": "?"}}])),
        written(gauge_of(asInt=1, attributes=[{"key": "a", "value": {"bytesValue": "ü"}}])),
        written({"name": "c", "sum": {"aggregationTemporality": "DELTA", "dataPoints": [{}]}}),
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        as_protobuf(body)


def test_a_body_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        as_protobuf(b" " * (LARGEST_JSON + 1))


def test_objects_without_number_are_refused_before_they_are_made() -> None:
    with pytest.raises(InvalidInput, match="objects"):
        as_protobuf(b"{" * 500_001)


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["resourceMetrics", "scopeMetrics", "metrics", "gauge", "dataPoints"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values)
def test_any_json_is_a_request_or_refused(value: Any) -> None:
    try:
        read(as_protobuf(json.dumps(value).encode()), Directory(OtlpConfig()))
    except InvalidInput:
        return
