"""What rules write: results under their name, and an end for what is gone."""

import numpy as np
import pytest

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample, is_stale
from tocsin.rule_engine.output import RuleOutput
from tocsin.rule_engine.recording import Recorded, check_series_limit

A = Labels.of({"__name__": "x", "host": "a"})
B = Labels.of({"__name__": "x", "host": "b"})


def test_the_same_series_give_the_same_layout_again() -> None:
    output = RuleOutput("g")
    first, again = output.write((A, B), [1, 2]), output.write((A, B), [3, 4])
    assert first is not None
    assert again is not None
    assert first.layout is again.layout
    assert first.layout.group == "g"
    assert again.values.dtype == np.float64
    assert again.values.tolist() == [3, 4]


def test_a_series_that_is_gone_is_ended_once() -> None:
    output = RuleOutput("g")
    output.write((A, B), [1, 2])
    ending = output.write((B,), [3])
    assert ending is not None
    assert ending.layout.labels == (B, A)
    assert ending.values[0] == 3
    assert is_stale(float(ending.values[1]))
    after = output.write((B,), [4])
    assert after is not None
    assert after.layout.labels == (B,)


def test_a_new_series_gives_a_new_layout() -> None:
    output = RuleOutput("g")
    output.write((A,), [1])
    grown = output.write((A, B), [1, 2])
    assert grown is not None
    assert grown.layout.labels == (A, B)


def test_nothing_to_say_is_nothing_to_write() -> None:
    output = RuleOutput("g")
    assert output.write((), ()) is None
    assert output.end() is None


def test_the_end_of_a_rule_ends_all_its_series() -> None:
    output = RuleOutput("g")
    output.write((A, B), [1, 2])
    ending = output.end()
    assert ending is not None
    assert all(is_stale(value) for value in ending.values.tolist())
    assert output.end() is None


def test_results_bear_the_name_and_labels_of_the_rule() -> None:
    recorded = Recorded("job:x:sum", (("team", "db"), ("zone", "")))
    labels, values = recorded.render([Sample(A.merged({"zone": "1"}), 0, 5.0)])
    assert [dict(each) for each in labels] == [{"__name__": "job:x:sum", "team": "db", "host": "a"}]
    assert values == [5.0]


def test_two_results_that_become_one_series_are_an_error() -> None:
    recorded = Recorded("r", (("host", "same"),))
    with pytest.raises(InvalidInput, match="same labelset after applying rule labels"):
        recorded.render([Sample(A, 0, 1.0), Sample(B, 0, 1.0)])


def test_the_series_limit_allows_exactly_that_many() -> None:
    check_series_limit(2, 2)
    check_series_limit(9, 0)
    with pytest.raises(InvalidInput, match="exceeded limit of 1 with 2 series"):
        check_series_limit(2, 1)
