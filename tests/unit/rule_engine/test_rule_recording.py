"""What recording rules write: results under their name."""

import pytest

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.rule_engine.fakes import answer_of
from tocsin.rule_engine.recording import Recorded, check_series_limit

A = Labels.of({"__name__": "x", "host": "a"})
B = Labels.of({"__name__": "x", "host": "b"})


def test_results_bear_the_name_and_labels_of_the_rule() -> None:
    recorded = Recorded("job:x:sum", (("team", "db"), ("zone", "")))
    labels, values = recorded.render(answer_of([Sample(A.merged({"zone": "1"}), 0, 5.0)]))
    assert [dict(each) for each in labels] == [{"__name__": "job:x:sum", "team": "db", "host": "a"}]
    assert values.tolist() == [5.0]


def test_two_results_that_become_one_series_are_an_error() -> None:
    recorded = Recorded("r", (("host", "same"),))
    with pytest.raises(InvalidInput, match="same labelset after applying rule labels"):
        recorded.render(answer_of([Sample(A, 0, 1.0), Sample(B, 0, 1.0)]))


def test_the_series_limit_allows_exactly_that_many() -> None:
    check_series_limit(2, 2)
    check_series_limit(9, 0)
    check_series_limit(9, -1)
    with pytest.raises(InvalidInput, match="exceeded limit of 1 with 2 series"):
        check_series_limit(2, 1)
