"""The text of labels for values of every kind."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otlp_requests import any_value, attributes, chunk

from tocsin.metrics_collector.otlp.attributes import MOST_ATTRIBUTES, text, text_of
from tocsin.metrics_collector.otlp.attributes import attributes as read
from tocsin.metrics_collector.otlp.points import Unfit
from tocsin.model.errors import InvalidInput


def taken(value: Any) -> str:
    body = chunk(1, b"k") + chunk(2, any_value(value))
    ((key, found),) = read(body, [(0, len(body))])
    assert key == "k"
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ("", ""),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (-(2**63), "-9223372036854775808"),
        (0.5, "0.5"),
        (3.0, "3"),
        (1e21, "1e+21"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (b"\x00\x01", "AAE="),
        ([], "[]"),
        (["a", 1, 2.5, True, None], '["a",1,2.5,true,null]'),
        ({"b": [1.0], "a": {"x": b"\x00"}}, '{"a":{"x":"AA=="},"b":[1]}'),
        (["<&>"], '["\\u003c\\u0026\\u003e"]'),
        ([math.inf], '["+Inf"]'),
        (["ü"], '["ü"]'),
    ],
)
def test_a_value_is_written_as_prometheus_writes_it(value: Any, expected: str) -> None:
    assert taken(value) == expected


def test_attributes_are_sorted_by_key() -> None:
    body = attributes(1, {"b": "2", "a": "1"})
    half = len(body) // 2
    assert read(body, [(2, half), (half + 2, len(body))]) == [("a", "1"), ("b", "2")]


def test_text_that_is_not_utf8_makes_its_point_unfit() -> None:
    with pytest.raises(Unfit, match="UTF-8") as raised:
        text(b"\xff")
    assert raised.value.reason == "invalid_labels"


def test_values_may_not_be_nested_without_end() -> None:
    value: Any = "x"
    for _ in range(40):
        value = [value]
    with pytest.raises(InvalidInput, match="deep"):
        taken(value)


def test_a_value_of_the_wrong_wire_type_is_refused() -> None:
    body = chunk(1, b"k") + chunk(2, chunk(3, b"x"))
    with pytest.raises(InvalidInput, match="wire type"):
        read(body, [(0, len(body))])


def test_fields_nobody_knows_are_skipped() -> None:
    body = chunk(1, b"k") + chunk(2, any_value("v") + chunk(90, b"?")) + chunk(91, b"?")
    assert read(body, [(0, len(body))]) == [("k", "v")]


def test_there_are_not_endlessly_many_values_in_a_list() -> None:
    with pytest.raises(InvalidInput, match="fields"):
        taken(["x"] * (MOST_ATTRIBUTES + 1))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=60))
def test_any_bytes_are_attributes_or_refused(body: bytes) -> None:
    try:
        found = read(body, [(0, len(body))])
    except InvalidInput:
        return
    assert all(isinstance(value, str) for pair in found for value in pair)


values: Any = st.recursive(
    st.one_of(st.text(max_size=5), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_what_is_read_is_what_was_sent(value: Any) -> None:
    assert taken(value) == text_of(_as_in_json(value) if isinstance(value, list | dict) else value)


def _as_in_json(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return text_of(value)
        case float() if value.is_integer() and abs(value) < 1e15:
            return int(value)
        case list():
            return [_as_in_json(each) for each in value]
        case dict():
            return {key: _as_in_json(each) for key, each in value.items()}
    return value
