"""What a tenant may hold is refused with a reason, label set by label set."""

from datetime import timedelta

import pytest

from tocsin.model.labels import EMPTY, Labels
from tocsin.model.series import Layout
from tocsin.timeseries.head import Head
from tocsin.timeseries.options import Limits, Refusal, milliseconds

LIMITS = Limits(active_series=2, labels_per_series=3, label_name_bytes=4, label_value_bytes=6)


@pytest.mark.parametrize(
    ("pairs", "refusal"),
    [
        ({"a": "1", "b": "2", "c": "3"}, None),
        ({"a": "1", "b": "2", "c": "3", "d": "4"}, Refusal.LABELS_PER_SERIES),
        ({"abcd": "1"}, None),
        ({"abcde": "1"}, Refusal.LABEL_NAME),
        ({"ééé": "1"}, Refusal.LABEL_NAME),
        ({"a": "éééé"}, Refusal.LABEL_VALUE),
        ({"a": "ééé"}, None),
        ({"a": "\ud800"}, Refusal.INVALID_LABELS),
        ({"\ud800": "a"}, Refusal.INVALID_LABELS),
        ({"": "a"}, Refusal.INVALID_LABELS),
        ({}, Refusal.INVALID_LABELS),
    ],
)
def test_a_label_set_is_refused_for_what_is_wrong_with_it(
    pairs: dict[str, str], refusal: Refusal | None
) -> None:
    assert LIMITS.refusal(Labels.of(pairs)) is refusal


def test_series_beyond_the_limit_are_refused_and_known_ones_are_not() -> None:
    head = Head(chunk_slots=2)
    a, b, c = (Labels.of({"a": x}) for x in "abc")
    assert [head.enter(each, LIMITS) for each in (a, b, c, a)] == [0, 1, Refusal.ACTIVE_SERIES, 0]


def test_a_layout_says_which_positions_are_kept_repeated_and_refused() -> None:
    head = Head(chunk_slots=2)
    a, b, c = (Labels.of({"a": x}) for x in "abc")
    _, binding = head.bind(Layout("g", (EMPTY, a, b, a, c)), LIMITS)
    assert binding.kept is not None
    assert binding.kept.tolist() == [1, 2]
    assert binding.repeats == ((3, 0),)
    assert binding.refused == {"invalid_labels": 1, "active_series_limit": 1}


def test_a_layout_is_resolved_once() -> None:
    head = Head(chunk_slots=2)
    layout = Layout("g", (Labels.of({"a": "b"}),))
    _, binding = head.bind(layout, LIMITS)
    assert head.bind(layout, LIMITS)[1] is binding
    head.unbind()
    assert head.bind(layout, LIMITS)[1] is not binding


def test_refused_series_are_tried_again_once_there_is_room() -> None:
    head = Head(chunk_slots=2)
    layout = Layout("g", tuple(Labels.of({"a": x}) for x in "abc"))
    _, binding = head.bind(layout, LIMITS)
    assert head.bind(layout, LIMITS)[1] is binding
    _, binding = head.bind(layout, Limits(active_series=3))
    assert binding.refused == {}


def test_spans_are_whole_milliseconds() -> None:
    assert milliseconds(timedelta(seconds=2, microseconds=1999)) == 2001


def test_the_default_limits_are_those_of_the_contract() -> None:
    limits = Limits()
    assert (limits.active_series, limits.labels_per_series) == (200_000, 40)
    assert (limits.label_name_bytes, limits.label_value_bytes) == (128, 2048)


def test_texts_are_checked_before_they_are_sized() -> None:
    assert Limits(label_value_bytes=0).refusal(Labels.of({"a": "b"})) is Refusal.LABEL_VALUE
