"""Packed bodies are unpacked within bounds; our few bytes of protobuf are protobuf."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from write_requests import chunk as reference_chunk
from write_requests import figure as reference_figure

from tocsin.metrics_collector.otlp.body import LARGEST, TooLarge, unpacked
from tocsin.metrics_collector.otlp.encode import chunk, double, figure, fixed
from tocsin.model.errors import InvalidInput


def test_a_body_is_unpacked() -> None:
    assert unpacked(gzip.compress(b"abc")) == b"abc"
    assert unpacked(b"") == b""


def test_members_one_after_the_other_are_one_body() -> None:
    assert unpacked(gzip.compress(b"abc") + gzip.compress(b"") + gzip.compress(b"d")) == b"abcd"


@pytest.mark.parametrize(
    "body",
    [
        b"abc",
        gzip.compress(b"abc")[:-1],
        gzip.compress(b"abc")[:5],
        gzip.compress(b"abc") + b"rest",
        zlib.compress(b"abc"),
        gzip.compress(b"abc")[:-8] + b"\0" * 8,
    ],
)
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        unpacked(body)


def test_a_bomb_is_refused_without_taking_its_size() -> None:
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    bomb = b"".join(packer.compress(zeros) for _ in range(4 * LARGEST >> 20)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpacked(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3 * LARGEST
    finally:
        tracemalloc.stop()


def test_many_small_bombs_are_one() -> None:
    half = gzip.compress(bytes(LARGEST // 2 + 1))
    with pytest.raises(TooLarge):
        unpacked(half + half)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 15), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=300))
def test_fields_are_written_as_protobuf_writes_them(field: int, value: int, content: bytes) -> None:
    assert figure(field, value) == reference_figure(field, value)
    assert chunk(field, content) == reference_chunk(field, content)
    assert fixed(field, value)[1:] == (value & 2**64 - 1).to_bytes(8, "little")


def test_a_float_is_eight_bytes() -> None:
    assert double(1, 1.0).hex() == "09000000000000f03f"
