"""Time intervals hold exactly as long as they say, in their zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tocsin.alert_manager import mute
from tocsin.alert_manager.mute import TimeInterval, muted_by
from tocsin.model.errors import InvalidInput


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-01-05T08:59", False),
        ("2026-01-05T09:00", True),
        ("2026-01-05T16:59:59", True),
        ("2026-01-05T17:00", False),
    ],
)
def test_the_end_of_a_time_range_is_excluded(moment: str, *, inside: bool) -> None:
    office = TimeInterval(times=(mute.time_range("09:00", "17:00"),))
    assert office.contains(at(moment)) is inside


def test_a_day_may_end_at_24() -> None:
    evening = TimeInterval(times=(mute.time_range("18:00", "24:00"),))
    assert evening.contains(at("2026-01-05T23:59:59"))
    assert not evening.contains(at("2026-01-06T00:00"))


def test_weekdays_count_from_sunday() -> None:
    week = TimeInterval(weekdays=(mute.weekdays("Monday:friday"),))
    weekend = TimeInterval(weekdays=(mute.weekdays("saturday"), mute.weekdays("sunday")))
    assert week.contains(at("2026-01-02"))
    assert not week.contains(at("2026-01-04"))
    assert weekend.contains(at("2026-01-03"))
    assert weekend.contains(at("2026-01-04"))


@pytest.mark.parametrize(
    ("days", "moment", "inside"),
    [
        ("1:5", "2026-02-05", True),
        ("1:5", "2026-02-06", False),
        ("-3:-1", "2026-02-26", True),
        ("-3:-1", "2026-02-25", False),
        ("-1", "2028-02-29", True),
        ("-31:-1", "2026-02-01", True),
        ("30:31", "2026-02-28", False),
        ("25:31", "2026-02-28", True),
        ("27:-1", "2026-02-28", True),
        ("1:-2", "2026-02-28", False),
    ],
)
def test_days_of_the_month_count_from_both_ends(days: str, moment: str, *, inside: bool) -> None:
    assert TimeInterval(days_of_month=(mute.days_of_month(days),)).contains(at(moment)) is inside


def test_months_and_years_are_ranges() -> None:
    summer = TimeInterval(months=(mute.months("june:8"),), years=(mute.years("2026:2027"),))
    assert summer.contains(at("2026-06-01"))
    assert summer.contains(at("2027-08-31T23:59"))
    assert not summer.contains(at("2026-09-01"))
    assert not summer.contains(at("2028-07-01"))


def test_a_location_moves_the_day_with_its_summer_time() -> None:
    morning = TimeInterval(
        times=(mute.time_range("09:00", "10:00"),), zone=mute.location("Europe/Berlin")
    )
    assert morning.contains(at("2026-01-05T08:30"))
    assert morning.contains(at("2026-07-06T07:30"))
    assert not morning.contains(at("2026-07-06T08:30"))


def test_the_zone_of_the_host_and_utc_have_names() -> None:
    assert mute.location("Local") is None
    assert mute.location("") is UTC
    assert mute.location("UTC") is UTC
    local = datetime(2026, 1, 5, 12).astimezone()
    noon = TimeInterval(times=((local.hour * 60, local.hour * 60 + 60),), zone=None)
    assert noon.contains(local)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (mute.minutes, "9:00"),
        (mute.minutes, "24:01"),
        (mute.minutes, "12:60"),
        (mute.weekdays, "friday:monday"),
        (mute.weekdays, "monday:tuesday:friday"),
        (mute.days_of_month, "0"),
        (mute.days_of_month, "32"),
        (mute.days_of_month, "-3:3"),
        (mute.days_of_month, "5:1"),
        (mute.days_of_month, "30:-10"),
        (mute.days_of_month, "x"),
        (mute.months, "13"),
        (mute.months, "0"),
        (mute.months, "march:january"),
        (mute.months, "brumaire"),
        (mute.years, "2027:2026"),
        (mute.location, "Mars/Base"),
        (mute.location, "../etc/passwd"),
    ],
)
def test_nonsense_is_refused(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(InvalidInput):
        read(text)


def test_a_range_of_times_needs_both_ends_in_order() -> None:
    for start, end in (("", "10:00"), ("10:00", ""), ("10:00", "10:00"), ("11:00", "10:00")):
        with pytest.raises(InvalidInput):
            mute.time_range(start, end)


def test_a_route_is_muted_inside_its_mute_intervals_and_outside_its_active_ones() -> None:
    always, never = (TimeInterval(),), (TimeInterval(years=((1999, 1999),)),)
    intervals = {"always": always, "never": never, "none": ()}
    now = at("2026-01-05")
    assert muted_by((), (), intervals, now) == ()
    assert muted_by(("never", "always"), (), intervals, now) == ("always",)
    assert muted_by((), ("never", "always"), intervals, now) == ()
    assert muted_by((), ("never", "none"), intervals, now) == ("never", "none")
    assert muted_by(("always",), ("never",), intervals, now) == ("never", "always")
