"""Go's time layouts and durations for Python's datetime and timedelta.

Source: Go's time package documentation ("Constants", Time.Format, Duration.String). Python keeps
microseconds, so finer digits are zero.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import re2

from tocsin.model.errors import InvalidInput

ZERO = datetime(1, 1, 1, tzinfo=UTC)
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# Longest element first, as Go reads a layout; `(?![a-z])` keeps "January" out of "Jan".
_ELEMENT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST"
    r"|2006|002|__2|_2(?!006)|01|02|03|04|05|06|15|1|2|3|4|5"
    r"|PM|pm|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07"
    r"|[.,](?:0+|9+)(?!\d)"
)
_MICROS = timedelta(microseconds=1)
_LONGEST = 200  # characters of a layout by which a time is read


def _hour12(at: datetime) -> int:
    return at.hour % 12 or 12


_FORMATS: Mapping[str, Callable[[datetime], str]] = {
    "January": lambda at: MONTHS[at.month - 1],
    "Jan": lambda at: MONTHS[at.month - 1][:3],
    "Monday": lambda at: DAYS[at.weekday()],
    "Mon": lambda at: DAYS[at.weekday()][:3],
    "MST": lambda at: zone_name(at),  # noqa: PLW0108 - defined below
    "2006": lambda at: f"{at.year:04d}",
    "06": lambda at: f"{at.year % 100:02d}",
    "002": lambda at: f"{at.timetuple().tm_yday:03d}",
    "__2": lambda at: f"{at.timetuple().tm_yday:3d}",
    "01": lambda at: f"{at.month:02d}",
    "1": lambda at: str(at.month),
    "02": lambda at: f"{at.day:02d}",
    "_2": lambda at: f"{at.day:2d}",
    "2": lambda at: str(at.day),
    "15": lambda at: f"{at.hour:02d}",
    "03": lambda at: f"{_hour12(at):02d}",
    "3": lambda at: str(_hour12(at)),
    "04": lambda at: f"{at.minute:02d}",
    "4": lambda at: str(at.minute),
    "05": lambda at: f"{at.second:02d}",
    "5": lambda at: str(at.second),
    "PM": lambda at: "PM" if at.hour >= 12 else "AM",
    "pm": lambda at: "pm" if at.hour >= 12 else "am",
}


def offset_seconds(at: datetime) -> int:
    """Return how many seconds the zone of `at` is ahead of UTC."""
    return int((at.utcoffset() or timedelta(0)).total_seconds())


def zone_name(at: datetime) -> str:
    """Return the abbreviation of the zone, or its offset when it has none."""
    name = at.tzname() or ""
    if name and ":" not in name:
        return name
    return _offset(offset_seconds(at), colon=False, parts=2)


def format_time(at: datetime, layout: str) -> str:
    """Return `at` written in the Go layout `layout`.

    >>> format_time(datetime(2026, 3, 1, 9, 5, tzinfo=UTC), "2 Jan 2006 3:04PM MST")
    '1 Mar 2026 9:05AM UTC'
    """
    return _ELEMENT.sub(lambda found: _element(at, found[0]), layout)


def _element(at: datetime, element: str) -> str:
    simple = _FORMATS.get(element)
    if simple:
        return simple(at)
    if element[0] in ".,":
        return _fraction(at, element)
    if element[0] == "Z" and not offset_seconds(at):
        return "Z"
    return _offset(offset_seconds(at), colon=":" in element, parts=_parts(element))


def _fraction(at: datetime, element: str) -> str:
    width = len(element) - 1
    digits = f"{at.microsecond:06d}"[:width].ljust(width, "0")
    if element[1] == "0":
        return element[0] + digits
    digits = digits.rstrip("0")
    return element[0] + digits if digits else ""


def _parts(element: str) -> int:
    return len(element.strip("Z-").replace(":", "")) // 2


def _offset(seconds: int, *, colon: bool, parts: int) -> str:
    sign = "-" if seconds < 0 else "+"
    seconds = abs(seconds)
    pieces = (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return sign + (":" if colon else "").join(f"{piece:02d}" for piece in pieces[:parts])


def time_text(at: datetime) -> str:
    """Return `at` as Go prints a time: `2026-03-01 09:05:00.5 +0000 UTC`."""
    return format_time(at, "2006-01-02 15:04:05.999999999 -0700 MST")


# ---- reading a time

_READ: Mapping[str, str] = {
    "January": "|".join(MONTHS),
    "Jan": "|".join(month[:3] for month in MONTHS),
    "Monday": "|".join(DAYS),
    "Mon": "|".join(day[:3] for day in DAYS),
    "MST": r"[A-Z]{3,5}|[+-]\d{2}(?:\d{2})?",
    "2006": r"\d{4}", "06": r"\d{2}", "002": r"\d{3}", "__2": r"[ \d]{2}\d",
    "01": r"\d{2}", "1": r"\d{1,2}", "02": r"\d{2}", "_2": r" ?\d{1,2}", "2": r"\d{1,2}",
    "15": r"\d{2}", "03": r"\d{2}", "3": r"\d{1,2}", "04": r"\d{2}", "4": r"\d{1,2}",
    "05": r"\d{2}(?:[.,]\d+)?", "5": r"\d{1,2}(?:[.,]\d+)?", "PM": "[AP]M", "pm": "[ap]m",
}  # fmt: skip
_SLOT = {
    "2006": "year", "06": "short_year", "002": "yday", "__2": "yday", "01": "month", "1": "month",
    "02": "day", "_2": "day", "2": "day", "15": "hour", "03": "hour12", "3": "hour12",
    "04": "minute", "4": "minute", "05": "second", "5": "second", "PM": "half", "pm": "half",
    "January": "month_name", "Jan": "month_name", "MST": "zone",
}  # fmt: skip


def parse_time(layout: str, text: str) -> datetime:
    """Return the time written in `text` by the Go layout `layout`; no zone means UTC.

    Raises InvalidInput when `text` does not follow it.
    """
    slots, form = _form(layout)
    match = form.fullmatch(text)
    if not match:
        raise InvalidInput(f"cannot parse time {text[:80]!r} as {layout[:80]!r}")
    return _build(dict(zip(slots, match.groups(), strict=True)), text)


@functools.lru_cache(maxsize=256)
def _form(layout: str) -> tuple[tuple[str, ...], Any]:
    """Return the slots of a layout and the pattern that reads them.

    The layout is a user's, so the pattern is RE2's: it cannot backtrack.
    """
    if len(layout) > _LONGEST:
        raise InvalidInput(f"time layout is longer than {_LONGEST} characters")
    slots: list[str] = []
    form, at = "(?i)", 0
    for found in _ELEMENT.finditer(layout):
        form += re2.escape(layout[at : found.start()]) + f"({_reader(found[0])})"
        slots.append(_SLOT.get(found[0], "fraction" if found[0][0] in ".," else found[0]))
        at = found.end()
    return tuple(slots), re2.compile(form + re2.escape(layout[at:]))


def _reader(element: str) -> str:
    if element in _READ:
        return _READ[element]
    if element[0] in ".,":
        return rf"[.,]\d{{{len(element) - 1}}}" if element[1] == "0" else r"(?:[.,]\d*)?"
    sep = ":" if ":" in element else ""
    numeric = r"[+-]\d{2}" + rf"{sep}\d{{2}}" * (_parts(element) - 1)
    return f"Z|{numeric}" if element[0] == "Z" else numeric


def _build(parts: Mapping[str, str], text: str) -> datetime:
    try:
        day = _day(parts)
        second, fraction = _seconds(parts)
        at = day.replace(
            hour=_hour(parts),
            minute=int(parts.get("minute", "0")),
            second=second,
            microsecond=fraction,
        )
        return at.replace(tzinfo=_zone(parts))
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"cannot parse time {text[:80]!r}: {error}") from error


def _day(parts: Mapping[str, str]) -> datetime:
    year = _year(parts)
    if "yday" in parts and "month" not in parts and "month_name" not in parts:
        day = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=int(parts["yday"]) - 1)
        if day.year != year:
            raise ValueError("day-of-year out of range")
        return day
    month = int(parts.get("month", "1"))
    if "month_name" in parts:
        month = (
            tuple(name[:3].lower() for name in MONTHS).index(parts["month_name"][:3].lower()) + 1
        )
    return datetime(year, month, int(parts.get("day", "1")), tzinfo=UTC)


def _year(parts: Mapping[str, str]) -> int:
    if "short_year" in parts and "year" not in parts:
        short = int(parts["short_year"])
        return short + (1900 if short >= 69 else 2000)
    return int(parts.get("year", "1")) or 1


def _hour(parts: Mapping[str, str]) -> int:
    hour = int(parts.get("hour", parts.get("hour12", "0")))
    half = parts.get("half", "").upper()
    if half == "PM" and hour < 12:
        return hour + 12
    return 0 if half == "AM" and hour == 12 else hour


def _seconds(parts: Mapping[str, str]) -> tuple[int, int]:
    whole, _, rest = parts.get("second", "0").replace(",", ".").partition(".")
    digits = (parts.get("fraction") or "").lstrip(".,") or rest
    return int(whole), int(digits[:6].ljust(6, "0") or "0")


def _zone(parts: Mapping[str, str]) -> timezone:
    for slot, value in parts.items():
        if slot[0] in "Z-" and value:
            return UTC if value in "Zz" else timezone(_read_offset(value))
    name = parts.get("zone", "UTC").upper()
    if name[0] in "+-":
        return timezone(_read_offset(name))
    return UTC if name in ("UTC", "GMT") else timezone(timedelta(0), name)


def _read_offset(text: str) -> timedelta:
    digits = text[1:].replace(":", "")
    hours, minutes, seconds = (int(digits[at : at + 2] or "0") for at in (0, 2, 4))
    size = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -size if text[0] == "-" else size


# ---- durations


def duration_text(value: timedelta) -> str:
    """Return `value` as Go prints a duration.

    >>> duration_text(timedelta(minutes=90, milliseconds=5))
    '1h30m0.005s'
    """
    micros = value // _MICROS
    sign = "-" if micros < 0 else ""
    micros = abs(micros)
    if micros == 0:
        return "0s"
    if micros < 1000:
        return f"{sign}{micros}µs"
    if micros < 1_000_000:
        return f"{sign}{_decimal(micros, 3)}ms"
    minutes, rest = divmod(micros, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{lead}{_decimal(rest, 6)}s"


def _decimal(value: int, places: int) -> str:
    whole, rest = divmod(value, 10**places)
    fraction = f"{rest:0{places}d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


# ---- methods


class Named(int):
    """A number with a name, as Go's Month and Weekday are."""

    name: str

    def __new__(cls, value: int, name: str) -> Named:
        """Return `value` called `name`."""
        made = super().__new__(cls, value)
        made.name = name
        return made


def _month(at: datetime) -> Named:
    return Named(at.month, MONTHS[at.month - 1])


def _weekday(at: datetime) -> Named:
    return Named(at.isoweekday() % 7, DAYS[at.weekday()])


def _unix_micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROS


def _add(at: datetime, by: timedelta) -> datetime:
    try:
        return at + by
    except OverflowError as error:
        raise InvalidInput("time out of range") from error


def _sub(at: datetime, other: datetime) -> timedelta:
    return at - other


def _before(at: datetime, other: datetime) -> bool:
    return at < other


def _after(at: datetime, other: datetime) -> bool:
    return at > other


def _equal(at: datetime, other: datetime) -> bool:
    return at == other


def _format(at: datetime, layout: str) -> str:
    return format_time(at, layout)


# Each takes the time or duration first; the interpreter checks the rest by their annotations.
TIME_METHODS: Mapping[str, Callable[..., Any]] = {
    "Add": _add,
    "After": _after,
    "Before": _before,
    "Day": lambda at: at.day,
    "Equal": _equal,
    "Format": _format,
    "Hour": lambda at: at.hour,
    "IsZero": lambda at: at == ZERO,
    "Local": lambda at: at.astimezone(UTC),
    "Minute": lambda at: at.minute,
    "Month": _month,
    "Nanosecond": lambda at: at.microsecond * 1000,
    "Second": lambda at: at.second,
    "String": time_text,
    "Sub": _sub,
    "UTC": lambda at: at.astimezone(UTC),
    "Unix": lambda at: _unix_micros(at) // 1_000_000,
    "UnixMicro": _unix_micros,
    "UnixMilli": lambda at: _unix_micros(at) // 1000,
    "UnixNano": lambda at: _unix_micros(at) * 1000,
    "Weekday": _weekday,
    "Year": lambda at: at.year,
    "YearDay": lambda at: at.timetuple().tm_yday,
}
DURATION_METHODS: Mapping[str, Callable[..., Any]] = {
    "Abs": lambda value: abs(value),  # noqa: PLW0108 - a builtin has no annotations to read
    "Hours": lambda value: value / timedelta(hours=1),
    "Microseconds": lambda value: value // _MICROS,
    "Milliseconds": lambda value: int(value / timedelta(milliseconds=1)),
    "Minutes": lambda value: value / timedelta(minutes=1),
    "Nanoseconds": lambda value: value // _MICROS * 1000,
    "Seconds": lambda value: value.total_seconds(),
    "String": duration_text,
}
