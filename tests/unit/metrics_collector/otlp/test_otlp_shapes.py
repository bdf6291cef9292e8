"""A request of a shape that is known gives exactly what reading it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otlp_requests import (
    CUMULATIVE,
    DELTA,
    SHOP,
    chunk,
    counter,
    gauge,
    histogram,
    histograms,
    number,
    request,
)

from tocsin.metrics_collector.otlp.config import OtlpConfig
from tocsin.metrics_collector.otlp.points import Block, Request
from tocsin.metrics_collector.otlp.reader import read
from tocsin.metrics_collector.otlp.shapes import Shapes, info_times, mark_of
from tocsin.metrics_collector.otlp.streams import Directory
from tocsin.model.sample import STALE, is_stale

HOST = {**SHOP, "host.name": "h1"}


def held(found: Request, known: Directory) -> list[tuple[Any, ...]]:
    blocks = [(block, block.delta) for block in found.blocks]
    if found.info is not None:
        blocks.append((found.info, False))
    return sorted(row for block, delta in blocks for row in _rows(block, known, delta=delta))


def _rows(block: Block, known: Directory, *, delta: bool) -> list[tuple[Any, ...]]:
    bits = np.ascontiguousarray(block.values).view(np.uint64)
    return [
        (str(known.series.labels[slot]), int(nanos), int(value), delta)
        for row, nanos, values in zip(block.slots, block.nanos, bits, strict=True)
        for slot, value in zip(row.tolist(), values.tolist(), strict=True)
    ]


def test_the_third_request_of_a_sender_is_read_by_its_shape() -> None:
    known = Directory(OtlpConfig())
    counts = []
    for second in range(1, 5):
        found = read(request(gauge("g", number(float(second), second)), resource=HOST), known)
        counts.append(len(known.shapes))
        assert found.blocks[0].values.tolist() == [[second]]
        assert found.metadata.keys() == {"g"}
    assert counts == [0, 1, 1, 1]  # the first was new, point by point


def test_every_bit_of_a_value_is_kept() -> None:
    known = Directory(OtlpConfig())
    values = (1.0, 1.0, 1.0, STALE)
    found = [read(request(gauge("g", number(value, 1))), known) for value in values]
    assert is_stale(found[-1].blocks[0].values[0, 0])


def test_start_times_of_deltas_may_move_on() -> None:
    known = Directory(OtlpConfig())
    for second in range(1, 5):
        point = number(1, second, start_s=second - 1, a="b")
        read(request(counter("c", point, temporality=DELTA)), known)
    kept = known.shapes.read(
        request(counter("c", number(2, 9, start_s=8, a="b"), temporality=DELTA))
    )
    assert kept is not None
    assert kept.blocks[0].values.tolist() == [[2.0]]


def test_least_and_largest_values_of_histograms_may_change() -> None:
    known = Directory(OtlpConfig())
    for second in range(1, 4):
        point = histogram([second], [], second, total=1.0, start_s=1, extremes=(0, second))
        read(request(histograms("h", point)), known)
    other = histogram([7], [], 9, total=3.0, start_s=2, extremes=(-1, 99))
    found = known.shapes.read(request(histograms("h", other)))
    assert found is not None
    assert found.blocks[0].values.tolist() == [[7, 7, 3]]


@pytest.mark.parametrize(
    "metric",
    [
        gauge("g", number(1, 1), number(1, 2, a="c")),
        gauge("g", number(1, 1), number(1.0, 2, a="b")),
        gauge("x", number(1, 1), number(1, 2, a="b")),
        gauge("g", number(1, 1), number(1, 2, b="b")),
        counter("g", number(1, 1), number(1, 2, a="b"), temporality=0, rises=False),
    ],
)
def test_another_shape_of_the_same_length_is_not_taken_for_it(metric: bytes) -> None:
    known = Directory(OtlpConfig())
    usual = request(gauge("g", number(1, 1), number(1, 2, a="b")))
    for _ in range(3):
        read(usual, known)
    other = request(metric)
    assert len(other) == len(usual)
    assert known.shapes.read(usual) is not None
    assert known.shapes.read(other) is None


def test_what_has_to_be_read_point_by_point_has_no_shape() -> None:
    known = Directory(OtlpConfig())
    for second in range(1, 5):
        read(request(counter("c", number(1.0, second, exemplars=1))), known)
    assert len(known.shapes) == 0


def test_the_oldest_shapes_go_when_there_are_too_many() -> None:
    known = Directory(OtlpConfig())
    known.shapes = Shapes(most_bytes=2_000)
    bodies = [
        request(gauge("g", number(1, 1)), resource={**SHOP, "n": "x" * n}) for n in range(100)
    ]
    for body in bodies:
        for _ in range(3):
            read(body, known)
    assert 0 < len(known.shapes) < 10
    assert known.shapes.read(bodies[-1]) is not None
    assert known.shapes.read(bodies[0]) is None


def test_a_request_too_large_for_its_share_has_no_shape() -> None:
    known = Directory(OtlpConfig())
    known.shapes = Shapes(most_bytes=100)
    for _ in range(3):
        read(request(gauge("g", number(1, 1))), known)
    assert len(known.shapes) == 0


def test_only_what_came_twice_of_late_is_worth_a_shape() -> None:
    shapes = Shapes()
    first = request(resource={"a": "b"})
    assert not shapes.wants(first)
    for n in range(1_001):
        assert not shapes.wants(request(resource={"n": n, "m": "x" * (n % 50)}))
    assert not shapes.wants(first)


def test_a_shape_replaces_one_with_the_same_mark() -> None:
    known = Directory(OtlpConfig())
    for route in ("a", "b"):
        for second in (1, 2, 3):
            read(request(gauge("g", number(1, second, route=route))), known)
    assert len(known.shapes) == 1
    assert known.shapes.read(request(gauge("g", number(1, 9, route="b")))) is not None


@pytest.mark.parametrize("body", [b"", b"\x12\x00", b"\x0a", b"\x0a\x02\x12\x00", b"\x0a\x02\x0a"])
def test_requests_of_unusual_form_have_no_mark(body: bytes) -> None:
    assert mark_of(body) is None
    assert Shapes().read(body) is None
    assert not Shapes().wants(body)


def test_a_very_long_resource_is_no_mark() -> None:
    assert mark_of(request(resource={"a": "x" * 5_000})) is None
    assert mark_of(chunk(1, chunk(1, b"x" * 4_000))) is not None


def test_times_of_target_info_are_apart_by_half_a_lookback() -> None:
    assert info_times(5, 5) == [5]
    assert info_times(0, 10**9) == [0, 10**9]


names = st.sampled_from(["a", "b", "c.d"])
labels = st.dictionaries(names, st.sampled_from(["x", "y"]), max_size=2)
figures = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats())
times = st.integers(1, 2**33).map(float)


@st.composite
def requests_of_one_shape(draw: st.DrawFn) -> list[bytes]:
    """Return four requests that have their series in common."""
    plan = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["gauge", "counter", "histogram"]),
                st.sampled_from([CUMULATIVE, DELTA]),
                st.booleans(),
                st.lists(st.tuples(labels, st.booleans()), max_size=3),
            ),
            max_size=4,
        )
    )
    resources = draw(st.lists(st.sampled_from([SHOP, HOST, {}]), min_size=1, max_size=2))
    return [
        b"".join(_one(draw, plan, resource, at) for at, resource in enumerate(resources))
        for _ in range(4)
    ]


def _one(draw: st.DrawFn, plan: Sequence[Any], resource: dict[str, str], at: int) -> bytes:
    metrics = [
        _metric(draw, f"{kind}{at}_{index}", kind, rest) for index, (kind, *rest) in enumerate(plan)
    ]
    return request(*metrics, resource=resource)


def _metric(draw: st.DrawFn, name: str, kind: str, plan: Sequence[Any]) -> bytes:
    temporality, started, points = plan
    start = 1.0 if started else None
    if kind == "histogram":
        made = [
            histogram(
                draw(st.lists(st.integers(1, 9), min_size=3, max_size=3)),
                [1, 2],
                draw(times),
                total=draw(st.floats()),
                start_s=start,
                extremes=(0, draw(st.floats())) if extreme else None,
                **given,
            )
            for given, extreme in points
        ]
        return histograms(name, *made, temporality=temporality)
    made = [
        number(
            draw(st.integers(-(2**63), 2**63 - 1)) if whole else draw(st.floats()),
            draw(times),
            start_s=start,
            **given,
        )
        for given, whole in points
    ]
    if kind == "gauge":
        return gauge(name, *made)
    return counter(name, *made, temporality=temporality)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests_of_one_shape())
def test_by_shape_a_request_holds_what_it_holds_for_one_who_reads_it(bodies: list[bytes]) -> None:
    steady = Directory(OtlpConfig())
    for body in bodies:
        fresh = Directory(OtlpConfig())
        quick, slow = read(body, steady), read(body, fresh)
        assert held(quick, steady) == held(slow, fresh)
        assert (quick.metadata, quick.samples) == (slow.metadata, slow.samples)
        assert quick.rejected == slow.rejected
