"""A catalogue finds a metric by the names of its series."""

import pytest

from tocsin.model.catalogue import Catalogue, MetricEntry, MetricType, Unit
from tocsin.model.errors import InvalidInput

SAVES = MetricEntry("saves_total", MetricType.COUNTER, Unit.EVENTS, "Saves.")
TOOK = MetricEntry("took_seconds", MetricType.HISTOGRAM, Unit.SECONDS, "Time.", ("path",), "us")
OPEN = MetricEntry("open", MetricType.GAUGE, Unit.COUNT, "Open now.")
KNOWN = Catalogue([SAVES, TOOK, OPEN])


@pytest.mark.parametrize(
    ("series", "entry"),
    [
        ("saves_total", SAVES),
        ("saves", None),
        ("took_seconds_bucket", TOOK),
        ("took_seconds_sum", TOOK),
        ("took_seconds_count", TOOK),
        ("took_seconds", None),
        ("open", OPEN),
        ("", None),
    ],
)
def test_a_series_leads_to_its_metric(series: str, entry: MetricEntry | None) -> None:
    assert KNOWN.find(series) is entry


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("saves", SAVES),
        ("saves_total", SAVES),
        ("took_seconds", TOOK),
        ("took_seconds_count", None),
        ("open", OPEN),
        ("closed", None),
    ],
)
def test_a_program_may_leave_out_the_ending_of_a_counter(
    name: str, entry: MetricEntry | None
) -> None:
    assert KNOWN.family(name) is entry


def test_what_is_not_there_is_named_once() -> None:
    assert KNOWN.missing(["open", "b", "a", "b", "took_seconds_sum"]) == ["a", "b"]
    assert (len(KNOWN), list(KNOWN)) == (3, [SAVES, TOOK, OPEN])


def test_two_metrics_cannot_share_a_series() -> None:
    count = MetricEntry("took_seconds_count", MetricType.GAUGE, Unit.COUNT, "")
    with pytest.raises(InvalidInput, match="took_seconds_count twice"):
        Catalogue([TOOK, count])
