"""Answers of queries are printed as promtool prints them, or as tables."""

from __future__ import annotations

import math

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cli.main import main
from tocsin.cli.query_answer import (
    PLAIN_BARS,
    WIDTH,
    Answer,
    Element,
    labels_text,
    metric_text,
    promql_lines,
    table_lines,
    trend,
)

UP = {"__name__": "up", "job": "a"}


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        ({"__name__": "up"}, "up"),
        ({"__name__": "up", "b": "2", "a": 'q"\n'}, 'up{a="q\\"\\n", b="2"}'),
        ({"a": "é"}, '{a="é"}'),
        ({}, "{}"),
        ({"__name__": "my.metric", "a.b": "1"}, '{"my.metric", "a.b"="1"}'),
    ],
)
def test_a_series_is_written_as_prometheus_writes_it(metric: dict[str, str], shown: str) -> None:
    assert metric_text(metric) == shown


def test_a_label_set_has_its_name_among_the_labels() -> None:
    assert labels_text({"b": "1", "__name__": "up"}) == '{__name__="up", b="1"}'


def test_a_matrix_is_written_point_by_point() -> None:
    answer = Answer("matrix", [Element(UP, values=[(0, "1"), (0.5, "NaN")])])
    assert list(promql_lines(answer)) == ['up{job="a"} =>', "1 @[0]", "NaN @[0.5]"]


def test_a_native_histogram_of_another_server_is_told_in_a_few_words() -> None:
    buckets = {"count": "5", "sum": "2.5", "buckets": [[0, "1", "2", "5"]]}
    vector = Answer("vector", [Element(UP, histogram=(1, buckets))])
    assert list(promql_lines(vector)) == ['up{job="a"} => {count:5, sum:2.5} @[1]']
    matrix = Answer("matrix", [Element(UP, histograms=[(2, buckets)], values=[(1, "7")])])
    assert list(promql_lines(matrix))[1:] == ["7 @[1]", "{count:5, sum:2.5} @[2]"]
    only = Answer("matrix", [Element(UP, histograms=[(2, buckets)])])
    assert table_lines(only, range(0, 3000, 1000))[1].split() == [
        *("up", "a", "{count:5,", "sum:2.5}"),
    ]
    assert table_lines(Answer("matrix", [Element(UP)]), range(1))[1].split() == ["up", "a"]


def test_a_table_has_a_column_for_each_label() -> None:
    elements = [Element(UP, value=(1, "1")), Element({"b\t": "\x1b[2J"}, value=(1, "2"))]
    assert table_lines(Answer("vector", elements), None) == [
        'metric  "b\\t"      job  VALUE',
        "up                 a    1",
        '        "\\x1b[2J"       2',
    ]
    assert table_lines(Answer("scalar", point=(1, "5")), None) == ["VALUE", "5"]
    assert table_lines(Answer("vector"), None) == ["VALUE"]


def test_a_table_of_a_range_shows_least_greatest_last_and_a_line_of_bars() -> None:
    values = [(0.0, "1"), (10.0, "2"), (20.0, "NaN"), (30.0, "0.1234567")]
    lines = table_lines(Answer("matrix", [Element(UP, values=values)]), range(0, 30001, 10000))
    assert [line.split() for line in lines] == [
        ["metric", "job", "MIN", "MAX", "LAST", "TREND"],
        ["up", "a", "0.123457", "2", "0.123457", "▄█", "▁"],
    ]
    strange = [(0.0, "x"), (10.0, "NaN")]
    lines = table_lines(Answer("matrix", [Element(UP, values=strange)]), range(0, 30001, 10000))
    assert lines[1].split() == ["up", "a", "NaN", "NaN", "NaN"]


def test_a_matrix_of_an_instant_query_has_a_line_for_each_point() -> None:
    element = Element(UP, values=[(0.0, "1"), (10.0, "2")])
    assert [line.split()[-1] for line in table_lines(Answer("matrix", [element]), None)] == [
        *("VALUE", "1", "2"),
    ]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, ""),
        ({0: 5.0, 10: 5.0}, "▁▁"),
        ({0: 0.0, 10: math.inf, 20: 7.0, 30: -math.inf}, "▁██▁"),
        ({0: 0.0, 20: 7.0}, "▁ █"),
        ({0: -1.7e308, 10: 0.0, 20: 1.7e308}, "▁▅█"),
    ],
)
def test_bars_are_as_high_as_values(values: dict[int, float], shown: str) -> None:
    assert trend(values, range(0, 31, 10)) == shown


def test_many_points_share_a_bar() -> None:
    line = trend({at: float(at) for at in range(1000)}, range(1000))
    assert len(line) == WIDTH
    assert list(line) == sorted(line)


@given(st.dictionaries(st.integers(0, 60), st.floats()), st.integers(1, 200))
def test_bars_are_drawn_whatever_the_values(values: dict[int, float], most: int) -> None:
    line = trend(values, range(most), PLAIN_BARS)
    assert len(line) <= min(most, WIDTH)
    assert set(line) <= {*PLAIN_BARS, " "}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["instant", "up", "--time=x"], "Invalid value for --time"),
        (["instant", "up", "--time=nan"], "Invalid value for --time"),
        (["instant", "up", "--header=x"], "write NAME: VALUE"),
        (["range", "up", "--start=inf"], "Invalid value for --start"),
        (["range", "up", "--start=2", "--end=1"], "the end lies before the start"),
        (["range", "up", "--step=x"], "Invalid value for --step"),
        (["range", "up", "--step=0"], "a step is a millisecond or longer"),
        (["range", "up", "--step=inf"], "a step is a millisecond or longer"),
        (["series"], "Missing option '--match'"),
        (["series", "--match=up", "--limit=0"], "0 is not in the range"),
        (["labels", "--end=0001-01-01T00:00:00Z"], "the zero time is no time"),
    ],
)
def test_a_question_that_makes_no_sense_is_not_asked(arguments: list[str], message: str) -> None:
    got = CliRunner().invoke(main, ["query", *arguments])
    assert got.exit_code == 2
    assert message in got.output
