"""Reading times by Go's layouts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import InvalidInput
from tocsin.templating.gotime import duration_text, format_time, parse_time

RFC3339 = "2006-01-02T15:04:05.999999999Z07:00"


@pytest.mark.parametrize(
    ("layout", "text", "iso"),
    [
        (RFC3339, "2026-03-01T09:05:07.25Z", "2026-03-01T09:05:07.250000+00:00"),
        (RFC3339, "2026-03-01T09:05:07+02:30", "2026-03-01T09:05:07+02:30"),
        ("2006-01-02 15:04:05", "2026-03-01 09:05:07.5", "2026-03-01T09:05:07.500000+00:00"),
        ("15:04:05,000", "09:05:07,123", "0001-01-01T09:05:07.123000+00:00"),
        ("Jan _2 2006 3:04PM", "Mar  1 2026 12:05AM", "2026-03-01T00:05:00+00:00"),
        ("January 2, 06 3pm", "march 1, 26 12pm", "2026-03-01T12:00:00+00:00"),
        ("2/1/06 03PM", "1/3/70 05PM", "1970-03-01T17:00:00+00:00"),
        ("Mon Monday 2006 002", "Tue Tuesday 2024 060", "2024-02-29T00:00:00+00:00"),
        ("2006__2", "2024 60", "2024-02-29T00:00:00+00:00"),
        ("2006-01-02 MST", "2026-03-01 GMT", "2026-03-01T00:00:00+00:00"),
        ("2006-01-02 MST", "2026-03-01 PST", "2026-03-01T00:00:00+00:00"),
        ("2006-01-02 MST", "2026-03-01 -03", "2026-03-01T00:00:00-03:00"),
        ("2006 -0700", "2026 -0130", "2026-01-01T00:00:00-01:30"),
        ("2006 -07:00:00", "2026 +01:00:30", "2026-01-01T00:00:00+01:00:30"),
    ],
)
def test_a_time_is_read_by_its_layout(layout: str, text: str, iso: str) -> None:
    assert parse_time(layout, text).isoformat() == iso


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("2006-01-02", "2026-02-30"),
        ("2006-01-02", "2026-2-3"),
        ("2006 002", "2025 366"),
        ("2006 -0700", "2026 +9900"),
        ("15:04", "24:00"),
        ("(", ")"),
    ],
)
def test_a_time_that_does_not_follow_its_layout_is_refused(layout: str, text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot parse time"):
        parse_time(layout, text)


def test_a_hostile_layout_costs_no_more_than_another() -> None:
    with pytest.raises(InvalidInput, match="cannot parse time"):
        parse_time("2" * 200, "1" * 300 + "x")
    with pytest.raises(InvalidInput, match="longer than 200 characters"):
        parse_time("2" * 201, "1")


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_can_be_read(at: datetime) -> None:
    assert parse_time(RFC3339, format_time(at, RFC3339)) == at


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_layout_and_text_give_a_time_or_invalid_input(layout: str, text: str) -> None:
    try:
        found = parse_time(layout, text)
    except InvalidInput:
        return
    assert found.tzinfo is not None
    format_time(found, layout)


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (0, "0s"),
        (999, "999µs"),
        (1_000, "1ms"),
        (999_999, "999.999ms"),
        (1_000_000, "1s"),
        (59_999_999, "59.999999s"),
        (60_000_000, "1m0s"),
        (3_600_000_000, "1h0m0s"),
        (-90_000_000, "-1m30s"),
    ],
)
def test_durations_at_their_boundaries(micros: int, shown: str) -> None:
    assert duration_text(timedelta(microseconds=micros)) == shown
