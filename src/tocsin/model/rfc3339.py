"""RFC 3339 times in the three shapes this family of programs uses.

Python keeps microseconds; digits beyond are read and cut.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tocsin.model.errors import InvalidInput

ZERO_TIME = "0001-01-01T00:00:00Z"  # Go's time.Time{}, which means "absent"

_FORM = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def parse_time(text: str) -> datetime | None:
    """Return the aware UTC time written in `text`, None for Go's zero time.

    Raises InvalidInput when it is no RFC 3339 time.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise InvalidInput(f"{text[:64]!r} is not an RFC 3339 time")
    day, clock, fraction, zone = found.groups()
    if day == "0001-01-01":
        return None
    micros = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{micros}{offset}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{text[:64]!r} is not an RFC 3339 time: {error}") from error


def format_millis(at: datetime) -> str:
    """Return `at` with exactly three fractional digits, as Alertmanager's API writes times."""
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def format_nano(at: datetime | None) -> str:
    """Return `at` with trailing zeros cut (Go's RFC3339Nano); None gives Go's zero time."""
    if at is None:
        return ZERO_TIME
    utc = at.astimezone(UTC)
    fraction = f".{utc.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{utc.year:04d}-{utc:%m-%dT%H:%M:%S}{fraction}Z"
