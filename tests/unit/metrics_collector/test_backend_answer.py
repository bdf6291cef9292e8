"""Answers of a Prometheus-compatible API, and the errors made of those that are none."""

from __future__ import annotations

import json
import math
import struct

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.metrics_collector.backend.answer import found_in
from tocsin.metrics_collector.backend.encode import write_request
from tocsin.metrics_collector.backend.fakes import page_of, read_request, vector_page
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import InvalidInput, LimitExceeded, TocsinError, Unreachable
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.sample import STALE, is_stale

SHOWN = "backend prometheus at http://p, tenant a"


def error_of(page: Page) -> TocsinError:
    with pytest.raises(TocsinError) as caught:
        found_in(page, shown=SHOWN)
    return caught.value


def test_a_vector_comes_as_columns() -> None:
    found = found_in(vector_page([({"job": "a"}, 1.5), ({"job": "b", "x": ""}, 0.1)]), shown=SHOWN)
    assert found.labels == (Labels.of({"job": "a"}), Labels.of({"job": "b"}))
    assert found.values.tolist() == [1.5, 0.1]
    assert found.warnings == ()


def test_values_that_are_no_decimals_are_read() -> None:
    result = [{"metric": {}, "value": [0, text]} for text in ("NaN", "+Inf", "-Inf", "1e-07")]
    found = found_in(page_of({"resultType": "vector", "result": result}), shown=SHOWN)
    nan, *rest = found.values.tolist()
    assert math.isnan(nan)
    assert rest == [math.inf, -math.inf, 1e-07]


def test_a_scalar_is_one_element_without_labels() -> None:
    found = found_in(page_of({"resultType": "scalar", "result": [1.5, "2"]}), shown=SHOWN)
    assert (found.labels, found.values.tolist()) == ((EMPTY,), [2.0])


def test_warnings_and_infos_are_passed_on() -> None:
    found = found_in(vector_page([], warnings=["w"], infos=["i"]), shown=SHOWN)
    assert found.warnings == ("w", "i")
    assert found_in(vector_page([], warnings=None), shown=SHOWN).warnings == ()


@pytest.mark.parametrize("kind", ["matrix", "string", "streams"])
def test_what_is_no_vector_is_the_fault_of_the_query(kind: str) -> None:
    error = error_of(page_of({"resultType": kind, "result": []}))
    assert isinstance(error, InvalidInput)
    assert f"a {kind} where" in str(error)


def test_a_native_histogram_is_refused_in_words() -> None:
    element = {"metric": {}, "histogram": [0, {"count": "1", "sum": "1"}]}
    error = error_of(page_of({"resultType": "vector", "result": [element]}))
    assert isinstance(error, InvalidInput)
    assert "native histograms" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (422, InvalidInput),
        (429, LimitExceeded),
        (401, Unreachable),
        (404, Unreachable),
        (302, Unreachable),
        (503, Unreachable),
    ],
)
def test_a_refusal_says_who_where_what(status: int, kind: type[TocsinError]) -> None:
    body = {"status": "error", "errorType": "x", "error": "too\n many  samples"}
    error = error_of(Page(status, {}, json.dumps(body).encode()))
    assert type(error) is kind
    assert str(error) == f"{SHOWN}: HTTP {status}: too many samples"


def test_what_is_not_prometheus_is_quoted_as_far_as_200_bytes() -> None:
    error = error_of(Page(502, {}, b"<html>" + b"x" * 1000))
    assert str(error) == f"{SHOWN}: HTTP 502: <html>{'x' * 194}"
    assert str(error_of(Page(500, {}, b""))).endswith("HTTP 500: (empty)")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"status":"success"}',
        b'{"status":"error","error":"x"}',
        b'{"status":"success","data":{"resultType":"vector","result":{}}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"value":[0]}]}}',
        b'{"status":"success","data":{"resultType":"scalar","result":[0,"x"]}}',
    ],
)
def test_a_good_status_with_a_bad_body_is_no_answer(body: bytes) -> None:
    assert isinstance(error_of(Page(200, {}, body)), Unreachable)


@given(st.binary(max_size=200))
def test_no_bytes_end_in_anything_but_our_own_errors(body: bytes) -> None:
    error_of(Page(200, {}, body))


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)
points = st.lists(st.tuples(st.integers(-(2**50), 2**50), st.floats(allow_nan=False)), min_size=1)


@given(st.dictionaries(names, names, max_size=4), points)
def test_a_request_reads_back_as_it_was_written(
    labels: dict[str, str], given_points: list[tuple[int, float]]
) -> None:
    series = Labels.of({"__name__": "m", **labels})
    once = list(dict(given_points).items())
    body = write_request([(series, once[:1]), (series, once[1:])])
    assert list(read_request(body)) == [(series, sorted(once))]


def test_a_staleness_marker_keeps_its_bits() -> None:
    body = write_request([(Labels.of({"__name__": "m"}), [(1, STALE)])])
    ((_, [(_, value)]),) = read_request(body)
    assert is_stale(value)
    assert struct.pack("<d", STALE) in bytes(cramjam.snappy.decompress_raw(body))
