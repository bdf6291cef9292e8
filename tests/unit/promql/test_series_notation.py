"""Series of test files: labels as in PromQL, values in the expanding notation."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.sample import is_stale
from tocsin.promql.errors import ParseError
from tocsin.promql.series_notation import MAX_POINTS, Point, read_metric, read_pairs, read_points


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("", []),
        ("1", [1]),
        ("1 -2.5 +3 .5 5. 1e3", [1, -2.5, 3, 0.5, 5, 1000]),
        ("1x3", [1, 1, 1, 1]),
        ("1+2x3", [1, 3, 5, 7]),
        ("1-2x3", [1, -1, -3, -5]),
        ("-1-1e1x1", [-1, -11]),
        ("1x0 \t 2", [1, 2]),
        ("_ 1 _x2", [Point.GAP, 1, Point.GAP, Point.GAP]),
        ("_x0", []),
        ("inf -Inf +INF", [math.inf, -math.inf, math.inf]),
        ("+inf-1x2", [math.inf] * 3),
        ("{{schema:0 sum:1}} 1", [Point.NATIVE, 1]),
        ("{{sum:1}}x2", [Point.NATIVE] * 3),
    ],
)
def test_values_expand(text: str, points: list[float | Point]) -> None:
    assert read_points(text) == points


def test_stale_ends_a_series_and_nan_is_a_value() -> None:
    stale, nan = read_points("stale NaN")
    assert isinstance(stale, float)
    assert isinstance(nan, float)
    assert (is_stale(stale), is_stale(nan), math.isnan(nan)) == (True, False, True)


@pytest.mark.parametrize(
    "text",
    [
        *("abc", "1x", "x3", "1+x2", "1x3x3", "1,2", "1_000", "_x", "_1", "__", "stalex3", "infx3"),
        *("1x-2", "1x2.5", "1+-2x3", "1 2\n3", "{", "1m", "0x10x2", "1x٣"),
    ],
)
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        read_points(text)


@pytest.mark.parametrize(
    "text", [f"1x{MAX_POINTS}", f"_x{MAX_POINTS + 1}", "1x" + "9" * 5000, f"1 1x{MAX_POINTS - 1}"]
)
def test_a_series_has_a_budget(text: str) -> None:
    with pytest.raises(ParseError, match="more than 1,000,000 values"):
        read_points(text)


@pytest.mark.parametrize(
    ("text", "labels", "rest"),
    [
        ("up", {"__name__": "up"}, ""),
        (" up 1 2 ", {"__name__": "up"}, "1 2"),
        ('up{a="b"} 1', {"__name__": "up", "a": "b"}, "1"),
        ('up{a="}",b=\'"\',} 1', {"__name__": "up", "a": "}", "b": '"'}, "1"),
        (r'{a="\"}"}', {"a": '"}'}, ""),
        ('{"a.b", "c d"="e"}', {"__name__": "a.b", "c d": "e"}, ""),
        ("{}", {}, ""),
        ("", {}, ""),
        ("{{sum:1}}", {}, "{{sum:1}}"),
        ("job:x:rate5m{on=`a\\`}", {"__name__": "job:x:rate5m", "on": "a\\"}, ""),
    ],
)
def test_a_metric_is_read_and_the_rest_left(text: str, labels: dict[str, str], rest: str) -> None:
    metric = read_metric(text)
    assert (dict(metric.labels), metric.rest) == (labels, rest)


@pytest.mark.parametrize(
    "text",
    [
        '{a="b"',
        "{a=b}",
        "{a}",
        "{a=}",
        '{a="b" c="d"}',
        "{,}",
        '{5="b"}',
        '{a:b="c"}',
        '{a="b"} 1',
        '{a="b",a="c"}',
        'x{__name__="y"}',
    ],
)
def test_labels_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ParseError):
        read_pairs(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_points, read_pairs):
        with contextlib.suppress(ParseError):
            read(text)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True),
        st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1),
    )
)
def test_labels_read_as_they_are_printed(pairs: dict[str, str]) -> None:
    labels = Labels.of(pairs)
    assert read_pairs(str(labels)) == labels.pairs


def test_a_label_without_a_value_is_written_but_not_there() -> None:
    metric = read_metric('up{b="",a="1"}')
    assert metric.pairs == (("__name__", "up"), ("a", "1"), ("b", ""))
    assert dict(metric.labels) == {"__name__": "up", "a": "1"}
