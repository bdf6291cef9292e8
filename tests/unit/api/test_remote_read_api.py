"""Remote read answers with samples, in the bytes Prometheus reads."""

from __future__ import annotations

import math

import cramjam
import numpy as np
import pytest
from asgi import Answered, ask
from hypothesis import given
from hypothesis import strategies as st
from prometheus_api import ACME, START, Api, refused
from write_requests import chunk, figure, sample

from tocsin.api.remote_read import ReadQuery, read_request, read_response
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.sample import STALE, is_stale
from tocsin.model.series import Series
from tocsin.promql.options import Options

EQUAL, NOT_EQUAL, REGEX, NOT_REGEX = range(4)


def asked_for(start_ms: int, end_ms: int, *matchers: tuple[int, str, str]) -> bytes:
    """Return a field `queries` of a request."""
    found = [
        chunk(3, (figure(1, op) if op else b"") + chunk(2, n.encode()) + chunk(3, v.encode()))
        for op, n, v in matchers
    ]
    return chunk(1, figure(1, start_ms) + figure(2, end_ms) + b"".join(found))


async def read(api: Api, request: bytes) -> Answered:
    body = bytes(cramjam.snappy.compress_raw(request))
    return await ask(api.door, "POST", "/prometheus/api/v1/read", body=body)


def expected(*results: bytes) -> bytes:
    return b"".join(chunk(1, result) for result in results)


def told(labels: dict[str, str], *points: tuple[int, float]) -> bytes:
    """Return a field `timeseries` of a result."""
    named = [chunk(1, chunk(1, n.encode()) + chunk(2, v.encode())) for n, v in labels.items()]
    return chunk(1, b"".join([*named, *[chunk(2, sample(*point)) for point in points]]))


def unpacked(got: Answered) -> bytes:
    assert got.status == 200, got.body
    assert got.headers["content-type"] == "application/x-protobuf"
    assert got.headers["content-encoding"] == "snappy"
    return bytes(cramjam.snappy.decompress_raw(got.body))


async def test_each_query_has_its_result_in_order() -> None:
    ms = START * 1000
    request = asked_for(ms - 60_000, ms, (EQUAL, "__name__", "up"), (REGEX, "job", "a|c"))
    request += asked_for(ms, ms, (NOT_EQUAL, "job", "a"), (NOT_REGEX, "__name__", "o.*"))
    request += asked_for(0, 1, (EQUAL, "__name__", "up"))
    assert unpacked(await read(Api(), request)) == expected(
        told({"__name__": "up", "job": "a"}, (ms - 60_000, 1.0), (ms, 1.0)),
        told({"__name__": "up", "job": "b"}, (ms, 0.0)),
        b"",
    )


async def test_staleness_markers_and_negative_times_are_given_as_they_are() -> None:
    api = Api()
    api.held.add(ACME, Labels.of({"__name__": "x"}), [(-5, math.inf), (0, -0.0), (127, STALE)])
    request = asked_for(-10, 200, (EQUAL, "__name__", "x"))
    assert unpacked(await read(api, request)) == expected(
        told({"__name__": "x"}, (-5, math.inf), (0, -0.0), (127, STALE))
    )


async def test_a_client_that_takes_chunks_and_samples_gets_samples() -> None:
    query = asked_for(0, 1)
    for accepted in (figure(2, 1) + figure(2, 0), chunk(2, b"\x01\x00"), figure(2, 0)):
        assert unpacked(await read(Api(), query + accepted)) == expected(b"")


async def test_a_client_that_takes_chunks_alone_is_refused() -> None:
    for accepted in (figure(2, 1), chunk(2, b"\x01")):
        got = await read(Api(), asked_for(0, 1) + accepted)
        refused(got, 400, "bad_data", "[STREAMED_XOR_CHUNKS]; supported: [SAMPLES]")


async def test_more_samples_than_a_query_may_read_are_refused() -> None:
    ms = START * 1000
    query = asked_for(ms, ms, (EQUAL, "__name__", "up"))
    api = Api(options=Options(max_samples=3))
    assert (await read(api, query)).status == 200
    refused(await read(api, query + query), 400, "bad_data", "exceeded sample limit (3)")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (b"\x0a\xff", "protobuf"),
        (chunk(1, chunk(3, figure(1, 4))), "invalid matcher type 4"),
        (chunk(1, chunk(3, figure(1, 2) + chunk(2, b"a") + chunk(3, b"("))), "regular expression"),
        (figure(1, 1), "wire type 0 for ReadRequest.queries"),
        (chunk(1, chunk(1, b"x")), "wire type 2 for a time of Query"),
    ],
)
async def test_a_request_that_is_none_is_bad_data(request_: bytes, message: str) -> None:
    refused(await read(Api(), request_), 400, "bad_data", message)


async def test_what_is_no_snappy_block_is_bad_data() -> None:
    got = await ask(Api().door, "POST", "/prometheus/api/v1/read", body=b"\xff")
    refused(got, 400, "bad_data", "no snappy block")


def test_a_request_is_read_field_by_field() -> None:
    request = asked_for(-5, 7, (NOT_EQUAL, "a", "b")) + chunk(9, b"unknown")
    assert read_request(request) == [ReadQuery(-5, 7, (matcher("a", "!=", "b"),))]
    assert read_request(b"") == []


@given(
    st.lists(
        st.tuples(st.integers(-(2**62), 2**62), st.floats(allow_nan=False)),
        max_size=40,
        unique_by=lambda point: point[0],
    )
)
def test_samples_have_the_bytes_that_protobuf_gives_them(points: list[tuple[int, float]]) -> None:
    points.sort()
    series = Series(
        Labels.of({"a": "é"}),
        np.array([t for t, _ in points], dtype=np.int64),
        np.array([v for _, v in points]),
    )
    body = bytes(cramjam.snappy.decompress_raw(read_response([[series]])))
    assert body == expected(told({"a": "é"}, *points))


def test_a_marker_is_kept_bit_by_bit() -> None:
    series = Series(Labels.of({"a": "b"}), np.array([1], dtype=np.int64), np.array([STALE]))
    body = bytes(cramjam.snappy.decompress_raw(read_response([[series]])))
    assert is_stale(float(np.frombuffer(body[-10:-2], dtype="<f8")[0]))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_bad_data(content: bytes) -> None:
    try:
        read_request(content)
    except InvalidInput:
        return
