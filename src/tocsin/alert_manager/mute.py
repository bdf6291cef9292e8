"""Time intervals: when a route is muted, or active. Pure of the clock; zones come from zoneinfo.

Every part that is given must hold. Times are minutes of the local day, the end excluded;
days of the month count from the end when negative. Source: Alertmanager `timeinterval`.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tocsin.model.errors import InvalidInput

_TIME = re.compile(r"(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))", re.ASCII)
_WEEKDAYS = {name.lower(): (at + 1) % 7 for at, name in enumerate(calendar.day_name)}
_MONTHS = {name.lower(): at for at, name in enumerate(calendar.month_name) if name}

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """One interval; an empty part holds always. Ranges include both ends, but `times` does not.

    Weekdays count from Sunday = 0.
    """

    times: tuple[Range, ...] = ()
    weekdays: tuple[Range, ...] = ()
    days_of_month: tuple[Range, ...] = ()
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    zone: tzinfo | None = UTC

    def contains(self, at: datetime) -> bool:
        """Tell whether `at` lies inside."""
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        return (
            (not self.times or any(a <= minute < b for a, b in self.times))
            and _holds(self.weekdays, local.isoweekday() % 7)
            and (not self.days_of_month or self._day_holds(local))
            and _holds(self.months, local.month)
            and _holds(self.years, local.year)
        )

    def _day_holds(self, local: datetime) -> bool:
        last = calendar.monthrange(local.year, local.month)[1]
        for first, end in self.days_of_month:
            begin = first if first > 0 else max(last + first + 1, 1)
            until = end if end > 0 else last + end + 1
            if begin <= local.day <= until:
                return True
        return False


def _holds(ranges: tuple[Range, ...], value: int) -> bool:
    return not ranges or any(a <= value <= b for a, b in ranges)


def muted_by(
    mute: Iterable[str],
    active: Iterable[str],
    intervals: dict[str, tuple[TimeInterval, ...]],
    now: datetime,
) -> tuple[str, ...]:
    """Return the names of the intervals that keep a route quiet at `now`; () when none does.

    Outside all of its active intervals a route is muted by every one of them.
    """

    def inside(name: str) -> bool:
        return any(i.contains(now) for i in intervals[name])

    muting = tuple(name for name in mute if inside(name))
    wanted = tuple(active)
    outside = () if not wanted or any(inside(n) for n in wanted) else wanted
    return (*outside, *muting)


def minutes(text: str) -> int:
    """Return the minute of the day written `HH:MM`, up to 24:00. Raises InvalidInput."""
    found = _TIME.fullmatch(text)
    if not found:
        raise InvalidInput(f"couldn't parse timestamp {text}, invalid format")
    hour, minute = found[1] or found[3], found[2] or found[4]
    return int(hour) * 60 + int(minute)


def time_range(start: str, end: str) -> Range:
    """Return the minutes between two times of a day. Raises InvalidInput."""
    if not start or not end:
        raise InvalidInput("both start and end times must be provided")
    begin, until = minutes(start), minutes(end)
    if begin >= until:
        raise InvalidInput("start time cannot be equal or greater than end time")
    return begin, until


def weekdays(text: str) -> Range:
    """Return the days written `monday:friday` or `saturday`. Raises InvalidInput."""
    found = _range(text, _weekday)
    if found[0] > found[1]:
        raise InvalidInput("start day cannot be before end day")
    return found


def days_of_month(text: str) -> Range:
    """Return the days written `1:5` or `-3:-1`. Raises InvalidInput."""
    first, end = _range(text, _number)
    for day in (first, end):
        if day == 0 or not -31 <= day <= 31:
            raise InvalidInput(f"{day} is not a valid day of the month: out of range")
    if first < 0 < end:
        raise InvalidInput("end day must be negative if start day is negative")
    if (first if first > 0 else 28 + first) > (end if end > 0 else 28 + end):
        raise InvalidInput(f"end day {end} is always before start day {first}")
    return first, end


def months(text: str) -> Range:
    """Return the months written `january:march`, `3` or `1:3`. Raises InvalidInput."""
    first, end = _range(text, _month)
    if first > end:
        raise InvalidInput(f"end month {end} is before start month {first}")
    return first, end


def years(text: str) -> Range:
    """Return the years written `2026` or `2026:2028`. Raises InvalidInput."""
    first, end = _range(text, _number)
    if first > end:
        raise InvalidInput(f"end year {end} is before start year {first}")
    return first, end


def location(name: str) -> tzinfo | None:
    """Return a time zone; "" is UTC and `Local` (None) the zone of this host.

    Raises InvalidInput when the zone database has none of that name.
    """
    if name in ("", "UTC"):
        return UTC
    if name == "Local":
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"unknown time zone {name}") from error


def _range(text: str, member: Callable[[str], int]) -> Range:
    parts = text.lower().split(":")
    if len(parts) > 2:
        raise InvalidInput(f"couldn't parse range {text}, invalid format")
    values = [member(part) for part in parts]
    return values[0], values[-1]


def _number(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,6}", text, re.ASCII):
        raise InvalidInput(f"{text!r} is not a number")
    return int(text)


def _weekday(text: str) -> int:
    if text not in _WEEKDAYS:
        raise InvalidInput(f"{text} is not a valid weekday")
    return _WEEKDAYS[text]


def _month(text: str) -> int:
    if text in _MONTHS:
        return _MONTHS[text]
    if not re.fullmatch(r"\d{1,2}", text, re.ASCII) or not 1 <= int(text) <= 12:
        raise InvalidInput(f"{text} is not a valid month")
    return int(text)
