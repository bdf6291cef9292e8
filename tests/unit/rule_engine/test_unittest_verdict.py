"""What a unit test of rules is judged by, and how it is told."""

import math
from typing import Any

import msgspec
import pytest

from tocsin.model.labels import Labels
from tocsin.model.settings import from_scalar
from tocsin.rule_engine.unittest_file import AlertTest, ExprTest
from tocsin.rule_engine.unittest_verdict import (
    Fired,
    alert_failure,
    equal,
    expr_error,
    expr_failure,
)

A = Labels.of({"__name__": "x", "i": "a"})
B = Labels.of({"__name__": "x", "i": "b"})


def expr(**keys: Any) -> ExprTest:
    return msgspec.convert({"expr": "x", **keys}, ExprTest, dec_hook=from_scalar)


def alert(*expected: dict[str, Any]) -> AlertTest:
    raw = {"eval_time": "5m", "alertname": "Down", "exp_alerts": list(expected)}
    return msgspec.convert(raw, AlertTest, dec_hook=from_scalar)


def down(annotations: dict[str, str] | None = None, **labels: str) -> Fired:
    return Fired.of({"alertname": "Down", **labels}, annotations or {})


def test_samples_may_come_in_any_order() -> None:
    case = expr(
        exp_samples=[{"labels": 'x{i="b"}', "value": 2}, {"labels": 'x{i="a"}', "value": 1}]
    )
    assert expr_failure(case, [(A, 1), (B, 2)], fuzzy=False) is None
    assert expr_failure(case, [(B, 2), (A, 1)], fuzzy=False) is None


@pytest.mark.parametrize(
    ("got", "shown"),
    [
        ([], "nil"),
        ([(A, 2)], '{__name__="x", i="a"} 2'),
        ([(B, 1)], '{__name__="x", i="b"} 1'),
        ([(A, 1), (B, 1)], '{__name__="x", i="a"} 1, {__name__="x", i="b"} 1'),
    ],
)
def test_a_difference_is_told_with_both_sides(got: list[tuple[Labels, float]], shown: str) -> None:
    case = expr(expr='x{i="a"}', eval_time="90s", exp_samples=[{"labels": 'x{i="a"}', "value": 1}])
    assert expr_failure(case, got, fuzzy=False) == (
        '    expr: "x{i=\\"a\\"}", time: 1m30s,\n'
        '        exp: {__name__="x", i="a"} 1\n'
        f"        got: {shown}"
    )


def test_expected_labels_must_be_labels() -> None:
    failure = expr_failure(expr(exp_samples=[{"labels": "{a=b}"}]), [], fuzzy=True)
    assert failure is not None
    assert failure.startswith('    expr: "x", time: 0s, err: ')


def test_a_native_histogram_that_is_expected_is_refused() -> None:
    case = expr(exp_samples=[{"labels": "x", "histogram": "{{count:1}}"}])
    failure = expr_failure(case, [], fuzzy=True)
    assert failure is not None
    assert failure.endswith("err: exp_samples: native histograms are not supported")


def test_an_error_is_told_with_its_place() -> None:
    assert expr_error(expr(), "why") == '    expr: "x", time: 0s, err: why'


@pytest.mark.parametrize(
    ("left", "right", "exact", "fuzzy"),
    [
        (1.0, 1.0, True, True),
        (0.3, 0.1 * 3, False, True),
        (1.0, 1.0 + 5e-16, False, False),
        (math.inf, math.inf, True, True),
        (-math.inf, math.inf, False, False),
        (math.nan, math.nan, False, False),
        (0.0, -0.0, True, True),
    ],
)
def test_fuzzy_forgives_the_last_bit(
    *, left: float, right: float, exact: bool, fuzzy: bool
) -> None:
    assert equal(left, right, fuzzy=False) is exact
    assert equal(left, right, fuzzy=True) is fuzzy


def test_alerts_may_come_in_any_order_and_alertname_goes_without_saying() -> None:
    case = alert(
        {"exp_labels": {"i": "b"}}, {"exp_labels": {"i": "a"}, "exp_annotations": {"s": "t"}}
    )
    assert alert_failure(case, [down({"s": "t"}, i="a"), down(i="b")]) is None


@pytest.mark.parametrize(
    "got", [[], [down(i="b")], [down({"s": ""}, i="a")], [down(i="a"), down(i="a")]]
)
def test_every_alert_and_annotation_counts(got: list[Fired]) -> None:
    assert alert_failure(alert({"exp_labels": {"i": "a"}}), got) is not None


def test_alerts_are_told_as_promtool_tells_them() -> None:
    assert alert_failure(alert(), [down({"s": 'a "b"\n'}), down(i="x")]) == (
        "    alertname: Down, time: 5m,\n"
        "        exp:[],\n"
        "        got:[\n"
        "            0:\n"
        '              Labels:{alertname="Down"}\n'
        '              Annotations:{s="a \\"b\\"\\n"},\n'
        "            1:\n"
        '              Labels:{alertname="Down", i="x"}\n'
        "              Annotations:{}\n"
        "            ]"
    )
