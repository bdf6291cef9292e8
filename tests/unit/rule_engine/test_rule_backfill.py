"""Recording rules over the past: in order, in pieces, without what is there already."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.settings import from_scalar
from tocsin.rule_engine.backfill import (
    MOST_POINTS,
    Recording,
    dependent,
    missing,
    openmetrics,
    pieces,
    recordings,
)
from tocsin.rule_engine.config import RuleFile

MINUTE = timedelta(minutes=1)


def file(*rules: dict[str, Any], **group: Any) -> RuleFile:
    groups = {"groups": [{"name": "g", "rules": list(rules), **group}]}
    return msgspec.convert(groups, RuleFile, dec_hook=from_scalar)


def rules(*written: dict[str, Any], **group: Any) -> list[Recording]:
    return recordings({"f": file(*written, **group)}, interval=MINUTE)


def test_recording_rules_come_in_the_order_of_files_and_rules() -> None:
    files = {
        "z.yml": file({"record": "b", "expr": "x"}, {"alert": "A", "expr": "x"}),
        "a.yml": file({"record": "a", "expr": "x"}, interval="30s"),
    }
    found = recordings(files, interval=MINUTE)
    assert [(each.rule.name, each.interval) for each in found] == [
        ("b", MINUTE),
        ("a", timedelta(seconds=30)),
    ]
    assert str(found[0]) == "b (g)"


def test_results_bear_the_name_and_labels_of_the_rule() -> None:
    (rule,) = rules(
        {"record": "r", "expr": "x", "labels": {"l": "v", "gone": ""}}, labels={"g": "1"}
    )
    answer = {Labels.of({"__name__": "x", "gone": "a", "k": "b"}): [(1, 1.0)]}
    wanted = Labels.of({"__name__": "r", "l": "v", "g": "1", "k": "b"})
    assert rule.results(answer) == {wanted: [(1, 1.0)]}
    assert rule.selector == '{__name__="r",g="1",gone="",l="v"}'


def test_results_that_become_one_series_are_refused() -> None:
    (rule,) = rules({"record": "r", "expr": "x", "labels": {"k": ""}})
    answer = {Labels.of({"k": "a"}): [(1, 1.0)], Labels.of({"k": "b"}): [(1, 1.0)]}
    with pytest.raises(InvalidInput, match="same labelset"):
        rule.results(answer)


times = st.integers(-(10**9), 10**9)


@given(times, times, st.integers(1, 10**7))
def test_pieces_cover_every_multiple_of_the_interval_once(start: int, end: int, step: int) -> None:
    end = min(end, start + 10**5 * step)
    found = list(pieces(start, end, timedelta(milliseconds=step)))
    flat = [at for piece in found for at in piece]
    assert flat == list(range(-(-start // step) * step, end + 1, step))
    assert all(len(piece) <= MOST_POINTS for piece in found)


def test_a_piece_is_two_hours_at_most() -> None:
    found = list(pieces(0, 5 * 3_600_000, MINUTE))
    assert [len(piece) for piece in found] == [120, 120, 61]
    long = list(pieces(0, 86_400_000, timedelta(hours=6)))
    assert [list(piece) for piece in long][1] == [6 * 3_600_000]


def test_a_rule_that_reads_an_earlier_one_is_told() -> None:
    found = rules(
        {"record": "a", "expr": "x"},
        {"record": "b", "expr": "rate(a[5m]) + y"},
        {"record": "c", "expr": "x"},
        {"record": "d", "expr": '{job="x"}'},
    )
    assert [(one.rule.name, other.rule.name) for one, other in dependent(found)] == [
        ("b", "a"),
        ("d", "a"),
    ]


def test_what_is_there_is_not_written_again() -> None:
    one, two = Labels.of({"a": "1"}), Labels.of({"a": "2"})
    results = {one: [(1, 1.0), (2, 2.0)], two: [(1, 1.0)]}
    present = {one: [(1, 9.0)], two: [(1, 1.0), (5, 1.0)]}
    assert missing(results, present) == {one: [(2, 2.0)]}


def test_openmetrics_lines_are_escaped_and_in_seconds() -> None:
    labels = Labels.of({"__name__": "r", "a": 'x"\\\ny'})
    rows = [
        (labels, [(1_500, 1.0), (-500, float("nan"))]),
        (Labels.of({"__name__": "r"}), [(0, 0.5)]),
    ]
    assert list(openmetrics("r", rows)) == [
        'r{a="x\\"\\\\\\ny"} 1 1.500\n',
        'r{a="x\\"\\\\\\ny"} NaN -0.500\n',
        "r 0.5 0.000\n",
    ]
