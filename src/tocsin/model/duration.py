"""Durations as Prometheus writes them: `1h30m`, `15s`, `500ms`, `0`.

Grammar of prometheus/common model.ParseDuration: y w d h m s ms, each at most once and in
that order; a bare `0` is allowed.
"""

from __future__ import annotations

import re
from datetime import timedelta

from tocsin.model.errors import InvalidInput

_UNITS_MS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_FORM = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_LONGEST_MS = 2**63 // 1_000_000  # an int64 of nanoseconds, as in Go


def parse_duration(text: str) -> timedelta:
    """Return the duration written in `text`. Raises InvalidInput when it is not one.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if text == "0":
        return timedelta(0)
    found = _FORM.fullmatch(text)
    if not text or not found:
        raise InvalidInput(
            f"not a valid duration string: {text!r} (write for example 30s or 1h30m)"
        )
    parts = zip(_UNITS_MS.values(), found.groups(), strict=True)
    total = sum(unit * int(count) for unit, count in parts if count)
    if total > _LONGEST_MS:
        raise InvalidInput(f"duration out of range: {text!r}")
    return timedelta(milliseconds=total)


def format_duration(value: timedelta) -> str:
    """Return `value` as Prometheus prints it; sub-millisecond parts are cut.

    Years and weeks appear only when the rest divides evenly, as upstream does.

    >>> format_duration(timedelta(minutes=90))
    '1h30m'
    """
    left = value // timedelta(milliseconds=1)
    if left == 0:
        return "0s"
    out = "-" if left < 0 else ""
    left = abs(left)
    for name, unit in _UNITS_MS.items():
        exact_only = name in ("y", "w")
        if left >= unit and not (exact_only and left % unit):
            out += f"{left // unit}{name}"
            left %= unit
    return out
